import NIOCore
import Testing

@testable import GatewayCore

/// What stands before a path states what fields would.
struct BasePathTests {
    private static let path = "/v1/skillmessages/users/u"

    /// Two skills; the caller may send for both, and to all regions but FE.
    private func bed() throws -> FlowBed {
        try FlowBed { configuration in
            let weather = configuration.skills[0]
            configuration.skills = ["weather", "news ä"].enumerated().map {
                Skill(index: $0, name: $1, defaultRegion: nil, tokens: weather.tokens)
            }
            let caller = Caller(index: 0, name: "orders", skills: [0, 1], regions: [.europe, .northAmerica])
            configuration.callers = CallerDirectory([
                CallerDirectory.Entry(caller, keys: [APIKeyDigest(of: "key")])
            ])
        }
    }

    private func send(_ bed: FlowBed, _ path: String, _ fields: String = "") -> Recipient {
        bed.request("POST", path, "Authorization: Bearer key\r\n" + fields, #"{"data":{}}"#)
    }

    @Test(arguments: [
        ("/skills/weather/regions/EU", "", "api.eu.amazonalexa.com"),
        ("/skills/weather/regions/na", "", "api.amazonalexa.com"),
        ("/skills/news%20%C3%A4/regions/NA", "", "api.amazonalexa.com"),
        ("/skills/weather", "Gateway-Region: EU\r\n", "api.eu.amazonalexa.com"),
        ("/regions/EU", "Gateway-Skill: weather\r\n", "api.eu.amazonalexa.com"),
        // Said twice, and the same.
        (
            "/skills/weather/regions/EU",
            "Gateway-Skill: weather\r\nGateway-Region: EU\r\nGateway-Api-Endpoint: https://api.eu.amazonalexa.com\r\n",
            "api.eu.amazonalexa.com"
        ),
    ])
    func `skill and region in the path count as in fields`(base: String, fields: String, host: String) throws {
        let bed = try bed()
        #expect(send(bed, base + Self.path, fields).answers.isEmpty)
        #expect(bed.pool.requests.first?.contains("\r\nHost: \(host)\r\n") == true, "\(bed.pool.requests)")
        #expect(bed.pool.requests.first?.hasPrefix("POST \(Self.path) HTTP/1.1\r\n") == true)
    }

    @Test(arguments: [
        ("/skills/weather/regions/EU", "Gateway-Skill: news ä\r\n", Problem.fieldInvalid),
        ("/skills/weather/regions/EU", "Gateway-Region: NA\r\n", .fieldInvalid),
        (
            "/skills/weather/regions/EU", "Gateway-Api-Endpoint: https://api.amazonalexa.com\r\n", .fieldInvalid
        ),
        ("/skills/sports/regions/EU", "", .notAllowed), ("/skills/weather/regions/FE", "", .notAllowed),
        ("/skills/%ZZ/regions/EU", "", .fieldInvalid), ("/skills/%FF/regions/EU", "", .fieldInvalid),
        ("/regions/EU", "", .skillRequired), ("/skills/weather", "", .regionUnknown),
        ("/regions/XX", "", .notFound), ("/regions/EUX", "", .notFound), ("/regions/", "", .notFound),
        ("/regions", "", .notFound), ("/skills/", "", .notFound), ("/skills//regions/EU", "", .notFound),
        ("/regions/EU/skills/weather", "", .notFound), ("/regions/EU/regions/EU", "", .notFound),
        ("/skills/a/skills/b", "", .notFound), ("/regions/EU/", "", .notFound), ("/Regions/EU", "", .notFound),
        ("/v2", "", .notFound), ("/x", "", .notFound),
    ])
    func `a contradiction is refused, and so is what is no base path`(
        base: String, fields: String, problem: Problem
    ) throws {
        let bed = try bed()
        #expect(send(bed, base + Self.path, fields).problem == problem)
        #expect(bed.pool.requests.isEmpty)
    }

    @Test func `all paths may stand behind one`() throws {
        let bed = try bed()
        let base = "/skills/weather/regions/EU"
        _ = send(bed, base + Self.path, "Idempotency-Key: k\r\n")
        bed.pool.answer(202)
        let inquiry = bed.request("GET", base + "/v1/idempotency-keys/k", "Authorization: Bearer key\r\n", nil)
        guard case .report(let status) = inquiry.answers.first?.content, case .accepted = status.state else {
            Issue.record("\(inquiry.answers)")
            return
        }
        let put = bed.request(
            "PUT", "/skills/weather/v1/users/v/region", "Authorization: Bearer key\r\n",
            #"{"apiEndpoint":"https://api.amazonalexa.com"}"#)
        #expect(put.status == 200)
        for (path, content) in [
            ("/regions/EU/v1/users/v/region", #"{"apiEndpoint":"https://api.amazonalexa.com"}"#),
            ("/v1/users/v/region", ""), ("/v1/users/v/region", " \n"), ("/v1/users/v/region", "x"),
            ("/v1/users/v/region", "[1]"), ("/v1/users/v/region", #"{"context": 1}"#),
        ] {
            let fields = "Authorization: Bearer key\r\nGateway-Skill: weather\r\n"
            #expect(bed.request("PUT", path, fields, content).status == 400, "\(path) \(content)")
        }
        let contradiction = bed.request(
            "GET", base + "/v1/idempotency-keys/k", "Authorization: Bearer key\r\nGateway-Region: NA\r\n", nil)
        #expect(contradiction.problem == .fieldInvalid)
        #expect(bed.request("POST", base + "/auth/o2/token", "", "").problem == .notFound, "no token is issued here")
        #expect(bed.request("GET", base + Self.path, "", nil).problem == .methodNotAllowed)
        #expect(bed.request("POST", base + Self.path + "?a", "", "").problem == .fieldInvalid)
    }

    @Test(arguments: ["", "[]", "{}", #"{"context":1}"#])
    func `who states a region and says none is told what is expected`(content: String) throws {
        let answer = try FlowBed().request("PUT", "/v1/users/v/region", "Authorization: Bearer key\r\n", content)
        guard case .refusal(let refusal) = answer.answers.first?.content else { return _ = Issue.record("taken") }
        #expect(refusal.problem == .messageInvalid && refusal.detail.contains("context.System.apiEndpoint"))
    }
}
