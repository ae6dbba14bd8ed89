import ArgumentParser
import GatewayAdmin
import Logging
import NIOPosix
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the gateway.")

    @Option(help: "The configuration file (YAML).")
    var config: String

    func run() async throws {
        FileLimit.raise()
        ExclusivityChecks.disableInRelease()
        let configuration = try await ConfigurationFile.read(config)
        LogSettings.shared.use(configuration.log)
        let logger = Logger(label: "skillgate")
        let control = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let gateway: Gateway
        do {
            gateway = try await Gateway(configuration, controlLoop: control.next(), logger: logger)
        } catch {
            logger.critical("cannot start", metadata: ["error": "\(error)"])
            throw ExitCode(ExitStatus.unavailable)
        }
        let sampler = StatusSampler(gateway)
        var quiet = logger
        quiet.logLevel = .warning
        let admin = AdminServer(
            address: configuration.admin, source: AdminSource(gateway, sampler), eventLoop: control.next()
        ) { port in
            logger.notice("admin listening", metadata: ["gateway.admin": "\(configuration.admin.host):\(port)"])
        }
        let watch = ConfigurationWatch(
            file: config, environment: Environment.variables(), gateway: gateway, logger: logger)
        // Ended in reverse order: the admin server answers until the gateway has drained.
        let services = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: admin), .init(service: gateway.evictionLog), .init(service: StartMemory()),
                    .init(service: sampler), .init(service: watch), .init(service: gateway),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        do {
            try await services.run()
        } catch {
            logger.critical("stopped", metadata: ["error": "\(error)"])
            throw ExitCode(ExitStatus.unavailable)
        }
    }
}
