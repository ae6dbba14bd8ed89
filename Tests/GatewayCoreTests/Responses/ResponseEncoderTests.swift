import Foundation
import NIOCore
import Testing

@testable import GatewayCore

@Suite struct ResponseEncoderTests {
    private let encoder = ResponseEncoder(endpoints: ByRegion { APIEndpoint.official($0) })

    private func encode(_ content: Response.Content, region: Region? = .europe, replay: Bool = false) -> String {
        let answer = Response(content, region: region, isReplay: replay)
        return encoded(answer)
    }

    private func encoded(_ answer: Response) -> String {
        var buffer = ByteBuffer()
        encoder.encode(answer, .init(keepsAlive: true, id: .made(connection: 1, request: 0xAB)), into: &buffer)
        // On each answer, so that the tests need not say it each time.
        let line = "X-Request-Id: 0000000000000001000000ab\r\n"
        let parts = String(buffer: buffer).components(separatedBy: line)
        #expect(parts.count == 2)
        return parts.joined()
    }

    @Test func `what became of a key is told as JSON`() throws {
        func content(_ state: KeyReport.State, remaining: Duration? = nil) -> String {
            let status = KeyStatus(
                KeyReport(state, remaining: remaining), retention: .seconds(86_400),
                now: UnixTimestamp(seconds: 1_784_974_692, nanoseconds: 250_000_000))
            let parts = encoded(Response(.report(status), region: nil)).split(separator: "\r\n\r\n")
            #expect(parts.first?.hasPrefix("HTTP/1.1 200 OK\r\nCache-Control: no-store") == true)
            return parts.last.map(String.init) ?? ""
        }
        #expect(content(.absent) == #"{"state":"absent"}"#)
        #expect(content(.inFlight(left: .seconds(1))) == #"{"state":"in-flight"}"#)
        #expect(
            content(.unknown, remaining: .milliseconds(86_399_500))
                == #"{"state":"unknown","createdAt":"2026-07-25T10:18:11.750Z","expiresAt":"2026-07-26T10:18:11.750Z"}"#
        )
        #expect(
            content(.accepted(.init(status: 202, region: .europe, requestID: .text(#"a"b"#))))
                == #"{"state":"accepted","status":202,"region":"EU","requestId":"a\"b"}"#)
        #expect(content(.accepted(.init(status: 202, region: .farEast, requestID: nil))).hasSuffix(#""region":"FE"}"#))
    }

    @Test(
        arguments: [
            (.min, -9_223_372_036_854_776, 192_000_000), (-1, -1, 999_000_000), (0, 0, 0), (1_001, 1, 1_000_000),
            (.max, 9_223_372_036_854_775, 807_000_000),
        ] as [(Int64, Int, Int)])
    func `any number of milliseconds is a time`(milliseconds: Int64, seconds: Int, nanoseconds: Int) {
        let time = UnixTimestamp(milliseconds: milliseconds)
        #expect(time == UnixTimestamp(seconds: seconds, nanoseconds: nanoseconds))
        var buffer = ByteBuffer()
        buffer.writeTimestamp(time)
        #expect(buffer.readableBytes > 0)
    }

    @Test func `a caller with a rate is told what is left of it`() {
        let limit = RateLimit(perSecond: 2, burst: 5)
        var arrival: Int64 = 0
        var lines: [String] = []
        for _ in 0..<6 {
            if case .allowed(let next) = limit.decide(theoreticalArrivalTime: arrival, now: 10_000_000_000) {
                arrival = next
            }
            var answer = Response(.refusal(Refusal(.callerRate, "x")), region: nil)
            answer.quota = limit.quota(theoreticalArrivalTime: arrival, now: 10_000_000_000)
            let text = encoded(answer)
            #expect(text.contains("\r\nRateLimit-Policy: \"requests\";q=5;w=3\r\n"))
            lines += text.components(separatedBy: "\r\n").filter { $0.hasPrefix("RateLimit:") }
        }
        #expect(
            lines == [(4, 1), (3, 1), (2, 2), (1, 2), (0, 3), (0, 3)].map { "RateLimit: \"requests\";r=\($0);t=\($1)" })
        // Later, one is there again.
        #expect(limit.quota(theoreticalArrivalTime: arrival, now: 10_500_000_000).remaining == 1)
        #expect(limit.quota(theoreticalArrivalTime: arrival, now: 99_000_000_000).remaining == 5)
    }

    @Test func `a problem links to what is written about it, where there is something`() {
        let answer = Response(.refusal(Refusal(.upstreamTLSFailed, "x")), region: nil)
        #expect(!encoded(answer).contains("Link:"))
        let linking = ResponseEncoder(
            endpoints: ByRegion { APIEndpoint.official($0) }, documentation: "https://docs.example.com/API.md#")
        var buffer = ByteBuffer()
        linking.encode(answer, .init(keepsAlive: true, id: .made(connection: 1, request: 1)), into: &buffer)
        #expect(
            String(buffer: buffer).contains(
                "\r\nLink: <https://docs.example.com/API.md#upstream-unreachable>; rel=\"describedby\"\r\n"))
    }

    @Test func `Amazon's answer keeps its status, content and fields`() {
        let answer = UpstreamResponse(
            status: 429, requestID: .text("id-1"), retryAfter: "5", contentType: "application/json",
            content: ByteBuffer(string: #"{"code":7,"message":"slow down"}"#))
        #expect(
            encode(.upstream(answer)) == """
                HTTP/1.1 429 Too Many Requests\r
                Gateway-Region: EU\r
                Proxy-Status: skillgate; next-hop="api.eu.amazonalexa.com"; received-status=429\r
                X-Amzn-RequestId: id-1\r
                Retry-After: 5\r
                Content-Type: application/json\r
                Content-Length: 32\r
                \r
                {"code":7,"message":"slow down"}
                """)
    }

    @Test func `a refusal is problem details with a message for Amazon's SDKs and no code`() {
        var refusal = Refusal(.tokenUnavailable, "no \"token\"", retryAfterSeconds: 3)
        refusal.receivedStatus = nil
        #expect(
            encode(.refusal(refusal), region: nil) == """
                HTTP/1.1 503 Service Unavailable\r
                Proxy-Status: skillgate; error=destination_unavailable; details="token-unavailable"\r
                Retry-After: 3\r
                Content-Type: application/problem+json\r
                Content-Length: 208\r
                \r
                {"type":"urn:skillgate:problem:token-unavailable","title":"No access token available","status":503,\
                "detail":"no \\"token\\"","message":"no \\"token\\"","instance":"urn:skillgate:request:0000000000000001000000ab"}
                """)
    }

    @Test(arguments: [
        ("<html>\u{1}\"x\"</html>", #"{"message":"<html>\u0001\"x\"</html>"}"#),
        ("", #"{"message":""}"#),
        ("[1]", #"{"message":"[1]"}"#),
        (#"{"code":"x"}"#, #"{"message":"{\"code\":\"x\"}"}"#),
        (#"{"code":1.5}"#, #"{"message":"{\"code\":1.5}"}"#),
        (#"{"message":"m""#, #"{"message":"{\"message\":\"m\""}"#),
    ])
    func `error content that Amazon's SDKs cannot read is wrapped`(content: String, wrapped: String) {
        let answer = UpstreamResponse(status: 500, contentType: "text/html", content: ByteBuffer(string: content))
        let text = encode(.upstream(answer))
        #expect(text.hasSuffix("\r\n\r\n" + wrapped))
        #expect(text.contains("Content-Type: application/json\r\n"))
    }

    @Test(arguments: ["{}", #"{"code":3}"#, #" {"a": {"code": "x"}, "code" : -1 } "#])
    func `error content that they can read is not touched`(content: String) {
        let answer = UpstreamResponse(status: 400, content: ByteBuffer(string: content))
        #expect(encode(.upstream(answer)).hasSuffix("\r\n\r\n" + content))
    }

    @Test func `a replay says so`() {
        let text = encode(.upstream(UpstreamResponse(status: 202)), replay: true)
        #expect(text.contains("\r\nIdempotent-Replayed: true\r\n"))
    }

    @Test func `every problem has an answer that names its type and an error of RFC 9209`() {
        for problem in Problem.allCases {
            let text = encode(.refusal(Refusal(problem, "x")))
            #expect(text.hasPrefix("HTTP/1.1 \(problem.row.status) "))
            #expect(text.contains("Proxy-Status: skillgate; error=\(problem.row.proxyStatusError)"))
            #expect(text.contains(#""type":"urn:skillgate:problem:\#(problem.row.type)""#))
            #expect(!text.contains(#""code""#))
            #expect(Problem.resend(after: problem.row.status) == problem.row.resend, "a status tells what may be done")
            #expect((problem.row.status == 504) == (problem.row.resend == .mayDouble))
        }
    }
}
