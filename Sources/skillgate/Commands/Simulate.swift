import AlexaSimulator
import ArgumentParser
import GatewayServer
import Glibc
import Hummingbird
import Logging
import ServiceLifecycle
import TokenEndpointClient
import UnixSignals

struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Simulates Amazon: the token endpoint and the three regions of the Skill Messaging API.",
        discussion: """
            Regions: /na, /eu and /fe. Token endpoint: /auth/o2/token. Control: GET /_simulator/messages, \
            /_simulator/deliveries and /_simulator/counters, PUT and DELETE /_simulator/faults, \
            POST /_simulator/tokens/revoke. Web page: /_simulator.
            """)

    @Option(help: "The address to listen on.")
    var listen = "127.0.0.1:9080"

    @Option(help: "A PEM file with the certificate chain; enables TLS.", completion: .file())
    var tlsCert: String?

    @Option(help: "A PEM file with the certificate's private key.", completion: .file())
    var tlsKey: String?

    @Option(help: "A YAML file with clients, users and faults.", completion: .file())
    var scenario: String?

    @Option(help: "Delivers accepted messages to the skill at this URL, following Amazon's retry schedule.")
    var skillEndpoint: String?

    @Option(
        help:
            "Reports messages that the skill has acknowledged at this URL, that of POST /v1/receipts. Without --skill-endpoint the skill is simulated, too."
    )
    var receiptsTo: String?

    @Option(help: "The member of data that holds the id to report.")
    var receiptMember = "receipt"

    @Option(help: "The skill id in the delivered requests.")
    var skillID = "amzn1.ask.skill.00000000-0000-0000-0000-000000000000"

    @Option(help: "How many seconds of Amazon's retry schedule pass per second.")
    var deliverySpeed = 1.0

    /// What Alexa waits for an answer of a skill.
    private static let skillTimeout = Duration.seconds(8)

    func validate() throws {
        let address = ConfigurationValue<SocketAddressText>.address
        guard address.parse(listen) != nil else {
            throw ValidationError("--listen is `\(listen)`; expected \(address.expected)")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("expected both --tls-cert and --tls-key, or neither")
        }
        for case (let name, let url?) in [("--skill-endpoint", skillEndpoint), ("--receipts-to", receiptsTo)]
        where !url.hasPrefix("http://") && !url.hasPrefix("https://") {
            throw ValidationError("\(name) is `\(url)`; expected an http:// or https:// URL")
        }
        guard (0.001...1_000_000).contains(deliverySpeed) else {
            throw ValidationError("--delivery-speed is \(deliverySpeed); expected a number from 0.001 to 1000000")
        }
    }

    func run() async throws {
        ThisProcess.raiseFileLimit()
        let address = ConfigurationValue<SocketAddressText>.address.parse(listen)
        let (host, port) = (address?.host ?? "127.0.0.1", address?.port ?? 9080)
        let logger = Logger(label: "skillgate.simulator")
        var quiet = logger
        quiet.logLevel = .warning
        let service: any Service
        do {
            let scenario = try scenario.map {
                try Scenario(yaml: TextFile.read($0, limitBytes: 4 << 20, mayWait: true))
            }
            var tls: AlexaSimulator.TLSFiles?
            if let tlsCert, let tlsKey { tls = .init(certificateChain: tlsCert, privateKey: tlsKey) }
            if let tls { try checkFiles(tls) }
            let simulator = AlexaSimulator(scenario ?? Scenario(), tls: tls, skill: skill)
            service = try simulator.application(host: host, port: port, logger: quiet) { port in
                StandardError.write(welcome(host: host, port: port, clients: simulator.clients))
                logger.notice("listening", metadata: ["simulator.listener": "\(host):\(port)"])
            }
        } catch {
            StandardError.write("the simulator cannot start: \((error as? DecodingError)?.inWords ?? "\(error)")\n")
            throw ExitCode(ExitStatus.usage)
        }
        if let skillEndpoint { logger.notice("delivering", metadata: ["simulator.skill": "\(skillEndpoint)"]) }
        if let receiptsTo { logger.notice("reporting", metadata: ["simulator.receipts": "\(receiptsTo)"]) }
        let services = ServiceGroup(configuration: .init(services: [.init(service: service)], logger: quiet))
        do {
            try await withThrowingTaskGroup { tasks in
                tasks.addTask { try await services.run() }
                tasks.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
                        // There is nothing to be kept, and a message that it was told to leave hanging would be waited for.
                        Glibc.exit(0)
                    }
                }
                _ = try await tasks.next()
                tasks.cancelAll()
            }
        } catch {
            let reason = ListeningError(listen, error)
            StandardError.write("\(reason.description)\n")
            throw ExitCode(ExitStatus.unavailable)
        }
    }

    private func checkFiles(_ files: AlexaSimulator.TLSFiles) throws {
        _ = try ListenerTLS(
            .init(certificateChainFile: files.certificateChain, privateKeyFile: files.privateKey), http2: true)
    }

    /// What a gateway has to be told, as lines of its configuration.
    private func welcome(host: String, port: Int, clients: [String: [String]]) -> String {
        let url = "\(tlsCert == nil ? "http" : "https")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        let secrets = clients.sorted { $0.key < $1.key }.map { "  \($0): \($1.joined(separator: ", "))\n" }
        return """
            A simulated Amazon. For the configuration of a gateway:

            regions: {NA: {apiEndpoint: \(url)/na}, EU: {apiEndpoint: \(url)/eu}, FE: {apiEndpoint: \(url)/fe}}
            tokenEndpoint: \(url)/auth/o2/token

            Clients and their secrets:
            \(secrets.joined())
            What it receives: \(url)/_simulator

            """
    }

    private var skill: SkillEndpoint? {
        guard skillEndpoint != nil || receiptsTo != nil else { return nil }
        var endpoint = SkillEndpoint(
            skillID: skillID, speed: deliverySpeed,
            receipts: receiptsTo.map { .posted(to: $0, member: receiptMember) }, post: nil)
        if let skillEndpoint {
            endpoint.post = { try await HTTPTransfer.post($0, to: skillEndpoint, within: Self.skillTimeout).status }
        }
        return endpoint
    }
}

extension SkillEndpoint.Receipts {
    /// - Parameter url: that of `POST /v1/receipts`.
    static func posted(to url: String, member: String) -> Self {
        Self(member: member) { content in
            let response = try await HTTPTransfer.post(content, to: url, within: .seconds(10))
            return (response.status, response.content)
        }
    }
}

extension HTTPTransfer {
    fileprivate static func post(_ json: [UInt8], to url: String, within timeout: Duration) async throws -> Response {
        var transfer = HTTPTransfer(
            "POST", url, fields: [(name: "Content-Type", value: "application/json; charset=utf-8")], content: json)
        transfer.timeout = timeout
        return try await transfer.perform()
    }
}
