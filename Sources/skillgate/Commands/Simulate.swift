import AlexaSimulator
import ArgumentParser
import Hummingbird
import Logging
import ServiceLifecycle
import UnixSignals

struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Simulates Amazon: the token endpoint and the three regions of the Skill Messaging API.",
        discussion: """
            Regions: /na, /eu and /fe. Token endpoint: /auth/o2/token. Control: GET /_simulator/messages and \
            /_simulator/counters, PUT and DELETE /_simulator/faults, POST /_simulator/tokens/revoke.
            """)

    @Option(help: "The address to listen on.")
    var listen = "127.0.0.1:9080"

    @Option(help: "A PEM file with the certificate chain; makes the simulator speak TLS.")
    var tlsCert: String?

    @Option(help: "A PEM file with the private key of the certificate.")
    var tlsKey: String?

    @Option(help: "A YAML file with clients, users and faults.")
    var scenario: String?

    func validate() throws {
        let address = ConfigurationValue<SocketAddressText>.address
        guard address.parse(listen) != nil else {
            throw ValidationError("--listen is `\(listen)`; expected \(address.expected)")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("expected both of --tls-cert and --tls-key, or none")
        }
    }

    func run() async throws {
        FileLimit.raise()
        let address = ConfigurationValue<SocketAddressText>.address.parse(listen)
        let (host, port) = (address?.host ?? "127.0.0.1", address?.port ?? 9080)
        let logger = Logger(label: "skillgate.simulator")
        var quiet = logger
        quiet.logLevel = .warning
        let simulator: any Service
        do {
            let scenario = try scenario.map { try Scenario(yaml: TextFile.read($0, limitBytes: 4 << 20)) }
            var tls: AlexaSimulator.TLSFiles?
            if let tlsCert, let tlsKey { tls = .init(certificateChain: tlsCert, privateKey: tlsKey) }
            simulator = try AlexaSimulator(scenario ?? Scenario(), tls: tls).application(
                host: host, port: port, logger: quiet
            ) { port in
                logger.notice("listening", metadata: ["simulator.listener": "\(host):\(port)"])
            }
        } catch {
            StandardError.write("the simulator cannot start: \(error)\n")
            throw ExitCode(ExitStatus.usage)
        }
        let services = ServiceGroup(
            configuration: .init(
                services: [.init(service: simulator)], gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        do {
            try await services.run()
        } catch {
            logger.critical("stopped", metadata: ["error": "\(error)"])
            throw ExitCode(ExitStatus.unavailable)
        }
    }
}
