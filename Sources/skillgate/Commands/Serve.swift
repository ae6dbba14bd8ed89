import ArgumentParser
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the gateway.")

    @Option(help: "The configuration file (YAML).", completion: .configuration)
    var config: String

    func run() async throws {
        ThisProcess.raiseFileLimit()
        // Until the configuration is watched: it may wait for a process that ends.
        signal(SIGHUP, SIG_IGN)
        signal(SIGUSR1, SIG_IGN)
        ThisProcess.disableExclusivityChecksInRelease()
        let configuration = try await ConfigurationFile.read(config)
        LogSettings.shared.use(configuration.log)
        let logger = Logger(label: "skillgate")
        let process: GatewayProcess
        do {
            process = try await GatewayProcess(configuration, logger: logger) { port in
                logger.notice("admin listening", metadata: ["gateway.admin": "\(configuration.admin.host):\(port)"])
            }
        } catch {
            logger.critical("cannot start", metadata: ["error": "\(error)"])
            throw ExitCode(ExitStatus.unavailable)
        }
        let watch = ConfigurationWatch(
            file: config, environment: Environment.variables(), gateway: process.gateway, logger: logger)
        var quiet = logger
        quiet.logLevel = .warning
        let services = ServiceGroup(
            services: process.services(
                with: [
                    process.gateway.evictionLog, StartMemory(), watch, LogReopening(process.gateway.logs, logger),
                ]),
            gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        do {
            try await services.run()
        } catch {
            logger.critical("stopped", metadata: ["error": "\(error)"])
            throw ExitCode(ExitStatus.unavailable)
        }
    }
}
