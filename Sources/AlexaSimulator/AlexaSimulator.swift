package import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
package import Logging
import NIOSSL

/// Amazon on a laptop: the token endpoint and the three regions of the Skill Messaging API on one port.
///
/// Regions live below `/na`, `/eu` and `/fe`, the token endpoint at `/auth/o2/token` and below `/lwa`. It imports
/// nothing of the gateway: two readings of one wire that agree are worth more than one.
package struct AlexaSimulator: Sendable {
    package struct TLSFiles: Sendable {
        /// Paths of PEM files.
        package var certificateChain: String
        package var privateKey: String

        package init(certificateChain: String, privateKey: String) {
            self.certificateChain = certificateChain
            self.privateKey = privateKey
        }
    }

    /// The secrets of each client that gets tokens.
    package let clients: [String: [String]]
    private let amazon: SimulatedAmazon
    private let tls: TLSFiles?
    private let deliverer: MessageDeliverer?

    /// - Parameter skill: accepted messages are delivered to it; nil: nothing is delivered.
    package init(_ scenario: Scenario = Scenario(), tls: TLSFiles? = nil, skill: SkillEndpoint? = nil) {
        let amazon = SimulatedAmazon(scenario)
        self.amazon = amazon
        clients = amazon.clients
        self.tls = tls
        deliverer = skill.map { MessageDeliverer(to: $0, of: amazon) }
    }

    /// - Parameter onListening: told the port once the listener is bound.
    package func application(
        host: String, port: Int, logger: Logger, onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws -> some ApplicationProtocol {
        var server = HTTPServerBuilder.http1()
        if let tls {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(tls.certificateChain).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: tls.privateKey, format: .pem)))
            configuration.minimumTLSVersion = .tlsv12
            // Whoever does not offer HTTP/2 gets HTTP/1.1.
            server = try .http2Upgrade(tlsConfiguration: configuration)
        }
        let scheme = tls == nil ? "http" : "https"
        let amazon = amazon
        var application = Application(
            router: router(),
            server: server,
            configuration: .init(address: .hostname(host, port: port), serverName: "simulator", backlog: 4096),
            onServerRunning: { channel in
                let bound = channel.localAddress?.port ?? port
                amazon.listening(at: "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(bound)")
                await onListening(bound)
            },
            logger: logger
        )
        if let deliverer { application.addServices(deliverer) }
        return application
    }

    private func router() -> Router<SimulatorContext> {
        let router = Router(context: SimulatorContext.self)
        let misbehaviour = FaultInjector(amazon: amazon)
        TokenRoutes(amazon: amazon, misbehaviour: misbehaviour).add(to: router)
        for region in SimulatedRegion.allCases {
            MessageRoutes(amazon: amazon, misbehaviour: misbehaviour, region: region, deliverer: deliverer)
                .add(to: router)
        }
        ControlRoutes(amazon: amazon).add(to: router)
        SimulatorPage.add(to: router)
        return router
    }
}
