import Foundation
import GatewayCore
import TestSupport
import Testing
import TokenEndpointClient

/// A simulator and a gateway, each a process of its own, with a configuration in a temporary folder.
struct TestBed: Sendable {
    static let apiKey = "orders-canary-0123456789abcdef"
    static let otherKey = "other-canary-0123456789abcdef"
    /// What may never be seen in what a gateway writes or shows: parts of every secret, token, key, userId and message.
    private static let canaries = ["canary", "simulator-secret", "Atc|", "sgt_", "amzn1.ask.account"]

    let simulator: RunningProcess
    let gateway: RunningProcess
    let folder: URL
    let simulatorURL: String
    let port: Int
    let adminURL: String

    var url: String { "http://127.0.0.1:\(port)" }
    var adminAddress: String { String(adminURL.dropFirst("http://".count)) }

    /// - Parameters:
    ///   - configuration: YAML added to the ordinary one.
    ///   - listeners: in place of one plain one on a free port, which has to stay the first.
    ///   - admin: the value of `admin`.
    ///   - callers: lines of YAML added to the ordinary callers.
    ///   - prepare: writes what else the configuration needs into the folder.
    ///   - skills: 1 leaves out the second skill and the caller that may use it.
    ///   - receiptMember: of the first skill.
    ///   - environment: variables for the gateway.
    ///   - simulator: further arguments of the simulator.
    ///   - tls: whether the simulator speaks TLS, with a certificate the gateway is told to trust.
    static func run(
        configuration: String = "", regions: String? = nil, secret: String = "simulator-secret", faults: String? = nil,
        tls: Bool = false, skills: Int = 2, receiptMember: String? = nil, environment: [String: String] = [:],
        listeners: String = "[{address: 127.0.0.1:0}]", admin: String = "{address: 127.0.0.1:0}", callers: String = "",
        simulator simulatorArguments: [String] = [],
        prepare: (URL) async throws -> Void = { _ in }, _ body: (TestBed) async throws -> Void
    ) async throws {
        raiseFileLimit()
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var arguments = ["simulate", "--listen", "127.0.0.1:0"] + simulatorArguments
        if tls {
            try await Certificate.make(in: folder)
            arguments += ["--tls-cert", folder.path + "/cert.pem", "--tls-key", folder.path + "/key.pem"]
        }
        let simulator = try RunningProcess(RunningProcess.skillgate, arguments)
        defer { simulator.signal(SIGKILL) }
        let simulatorPort = try await simulator.port("simulator.listener")
        let base = tls ? "https://localhost:\(simulatorPort)" : "http://127.0.0.1:\(simulatorPort)"
        if let faults {
            _ = try await transfer("PUT", "\(base)/_simulator/faults", faults, folder: tls ? folder : nil)
        }
        try write(secret, to: "secret", in: folder)
        try write(apiKey, to: "key", in: folder)
        try write(otherKey, to: "other-key", in: folder)
        try await prepare(folder)
        let receipts = receiptMember.map { ", receipts: {member: \($0)}" } ?? ""
        let news =
            "  - {name: news, clientID: amzn1.application-oa2-client.simulator, clientSecret: {file: secret}, defaultRegion: FE}"
        let other =
            "  - {name: other, apiKeys: [{file: other-key}], skills: [weather, news], regions: [EU, FE], idempotencyKey: required}"
        let yaml = """
            listeners: \(listeners)
            admin: \(admin)
            \(regions ?? "regions: {NA: {apiEndpoint: \(base)/na}, EU: {apiEndpoint: \(base)/eu}, FE: {apiEndpoint: \(base)/fe}}")
            tokenEndpoint: \(base)/auth/o2/token
            skills:
              - {name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {file: secret}\(receipts)}
            \(skills > 1 ? news : "")
            callers:
              - {name: orders, apiKeys: [{file: key}], skills: [weather]}
            \(skills > 1 ? other : "")
            \(callers)
            drain: {notice: 0s}
            \(configuration.isEmpty && tls ? "upstream: {trust: {caFile: cert.pem}}" : configuration)
            """
        try write(yaml, to: "skillgate.yaml", in: folder)
        try await withGateway(simulator, base, folder, "skillgate.yaml", environment, body)
    }

    /// Starts a gateway with a configuration in `folder`, and ends it behind `body`.
    private static func withGateway(
        _ simulator: RunningProcess, _ simulatorURL: String, _ folder: URL, _ configuration: String,
        _ environment: [String: String], _ body: (TestBed) async throws -> Void
    ) async throws {
        let gateway = try RunningProcess(
            RunningProcess.skillgate, ["serve", "--config", "\(folder.path)/\(configuration)"],
            environment: environment)
        defer { gateway.signal(SIGKILL) }
        let bed = TestBed(
            simulator: simulator, gateway: gateway, folder: folder, simulatorURL: simulatorURL,
            port: try await gateway.port("gateway.listener"),
            adminURL: "http://127.0.0.1:\(try await gateway.port("gateway.admin"))")
        try await body(bed)
        await bed.expectNoCanaries()
    }

    /// Looks through all that the gateway has written and shows.
    private func expectNoCanaries() async {
        var texts = [("the log", gateway.log)]
        for name in ["access.log", "audit.log"] {
            let text = try? String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            if let text { texts.append((name, text)) }
        }
        for page in ["/metrics", "/readyz", "/version"] {
            // Some tests have ended it by now.
            if let answer = try? await Self.transfer("GET", adminURL + page) { texts.append((page, answer.text)) }
        }
        for (name, text) in texts { Self.expectNoCanary(in: text, of: name) }
    }

    static func expectNoCanary(in text: String, of name: String) {
        // A token that is bought is meant to be seen by who buys it.
        for canary in canaries where text.contains(canary) && !(canary == "sgt_" && text.contains("access_token")) {
            Issue.record("\(name) holds `\(canary)`: \(text)")
        }
    }

    /// Another gateway with the same configuration, or another in the same folder, for as long as `body` runs.
    func withReplica(
        configuration: String = "skillgate.yaml", _ body: (TestBed) async throws -> Void
    ) async throws {
        try await Self.withGateway(simulator, simulatorURL, folder, configuration, [:], body)
    }

    /// The value of `idempotency`, for records in a store of each kind.
    static func idempotency(_ store: StoreKind, _ redis: RedisProcess) -> String {
        switch store {
        case .memory: "{}"
        case .file: "{file: {directory: records}}"
        case .redis: "{store: redis, redis: {url: 'redis://127.0.0.1:\(redis.port)'}}"
        }
    }

    /// What became of a key, as JSON.
    func report(_ key: String) async throws -> String {
        try await Self.transfer(
            "GET", "\(url)/v1/idempotency-keys/\(key)", "",
            ["Authorization": "Bearer \(Self.apiKey)", "Gateway-Skill": "weather"]
        ).text
    }

    /// Replaces a file as a whole, as tools that deploy do.
    func replace(_ name: String, with text: String) throws {
        try Data(text.utf8).write(to: folder.appendingPathComponent(name), options: .atomic)
    }

    static func write(_ text: String, to name: String, in folder: URL) throws {
        try Data(text.utf8).write(to: folder.appendingPathComponent(name))
    }

    /// A thousand connections need more descriptors than a shell gives.
    private static func raiseFileLimit() {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, 16_384)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    // MARK: Requests

    static func transfer(
        _ method: String, _ url: String, _ content: String = "", _ fields: [String: String] = [:], folder: URL? = nil
    ) async throws -> HTTPTransfer.Response {
        var transfer = HTTPTransfer(
            method, url, fields: fields.map { (name: $0.key, value: $0.value) }, content: Array(content.utf8))
        transfer.timeout = .seconds(60)
        transfer.caFile = folder.map { $0.path + "/cert.pem" }
        return try await transfer.perform()
    }

    /// One message, by libcurl.
    func send(
        _ user: String, _ fields: [String: String] = ["Gateway-Region": "NA"], key: String = apiKey,
        content: String = #"{"data":{"a":"canary-value"}}"#
    ) async throws -> HTTPTransfer.Response {
        var fields = fields
        if !key.isEmpty { fields["Authorization"] = "Bearer \(key)" }
        fields["Content-Type"] = "application/json"
        let answer = try await Self.transfer(
            "POST", "\(url)/v1/skillmessages/users/amzn1.ask.account.\(user)", content, fields)
        Self.expectNoCanary(
            in: answer.text + answer.fields.map { "\($0.name): \($0.value)" }.joined(separator: "\n"), of: "an answer")
        return answer
    }

    func control(_ method: String, _ path: String, _ content: String = "") async throws -> HTTPTransfer.Response {
        let folder = simulatorURL.hasPrefix("https") ? folder : nil
        return try await Self.transfer(method, "\(simulatorURL)/_simulator/\(path)", content, folder: folder)
    }

    func setFaults(_ faults: String) async throws {
        let answer = try await control("PUT", "faults", faults)
        guard answer.status == 200 else { throw RunningProcess.Failure(description: answer.text) }
    }

    /// Returns when the gateway shows this sample with this value; throws if it never does.
    func untilMetric(_ sample: String, is value: Int) async throws {
        try await untilMetric(sample, isAnyOf: [value])
    }

    func untilMetric(_ sample: String, isAnyOf values: [Int]) async throws {
        try await until("\(sample) \(values)") {
            let page = try await Self.transfer("GET", adminURL + "/metrics").text
            return values.contains { page.contains("\n\(sample) \($0)\n") }
        }
    }

    /// Returns when a process says that something has happened; throws if it never does.
    ///
    /// - Parameter hasHappened: asks a process, which takes its time.
    func until(_ what: String, _ hasHappened: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end {
            if try await hasHappened() { return }
        }
        throw RunningProcess.Failure(description: "there never was \(what)")
    }

    /// Resident memory of the gateway, as it says itself.
    func residentBytes() async throws -> Int {
        let page = try await Self.transfer("GET", adminURL + "/metrics").text
        let line = page.split(separator: "\n").first { $0.hasPrefix("process_resident_memory_bytes ") }
        guard let text = line?.split(separator: " ").last, let bytes = Int(text) else {
            throw RunningProcess.Failure(description: "no resident memory among the metrics")
        }
        return bytes
    }

    func untilMessagesInFlight(_ count: Int) async throws {
        try await untilMetric("skillgate_messages_in_flight", is: count)
    }

    struct Counters: Decodable {
        struct Region: Decodable {
            var received: Int
            var accepted: Int
            var refused: [String: Int]
        }

        var tokenFetches: Int
        var messages: [String: Region]

        var accepted: Int { messages.values.reduce(0) { $0 + $1.accepted } }
        var received: Int { messages.values.reduce(0) { $0 + $1.received } }
    }

    func counters() async throws -> Counters {
        try JSONDecoder().decode(Counters.self, from: Data(try await control("GET", "counters").content))
    }

    struct AcceptedMessage: Decodable {
        var region: String
        var userId: String
        var requestId: String
        var data: [String: String]
        var traceparent: String?
    }

    func acceptedMessages() async throws -> [AcceptedMessage] {
        try JSONDecoder().decode([AcceptedMessage].self, from: Data(try await control("GET", "messages").content))
    }

    /// A whole request for a raw connection.
    func request(
        user: String, idempotencyKey: String? = nil, region: String = "NA",
        content: String = #"{"data":{"a":"canary-value"}}"#,
        authorization: String? = "Bearer \(apiKey)", fields: String = ""
    ) -> String {
        """
        POST /v1/skillmessages/users/amzn1.ask.account.\(user) HTTP/1.1\r
        Host: gateway\r
        \(authorization.map { "Authorization: \($0)\r\n" } ?? "")\(fields)Gateway-Region: \(region)\r
        \(idempotencyKey.map { "Idempotency-Key: \"\($0)\"\r\n" } ?? "")Content-Length: \(content.utf8.count)\r
        \r
        \(content)
        """
    }
}
