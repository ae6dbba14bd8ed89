import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// Loads the configuration anew when it, a secret or a certificate changes, and on SIGHUP.
///
/// Files are looked at several times a second, by name: that sees symbolic links that lead elsewhere now, as Kubernetes
/// makes them, and works on every file system.
struct ConfigurationWatch: Service {
    private static let interval = Duration.milliseconds(200)

    let file: String
    let environment: [String: String]
    let gateway: Gateway
    let logger: Logger
    /// As the files looked before the gateway could be reached: what changes from then on is seen.
    private let initialStamps: [String: Stamp]

    init(file: String, environment: [String: String], gateway: Gateway, logger: Logger) {
        self.file = file
        self.environment = environment
        self.gateway = gateway
        self.logger = logger
        initialStamps = Self.stamps(of: [file] + gateway.watchedFiles)
        // Until it is waited for, it must not end the process.
        signal(SIGHUP, SIG_IGN)
    }

    private enum Event {
        case look
        case signal
    }

    func run() async throws {
        let (events, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(4))
        await withGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: Self.interval)
                        continuation.yield(.look)
                    }
                }
                tasks.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sighup) { continuation.yield(.signal) }
                }
                await handle(events)
                tasks.cancelAll()
            }
        } onGracefulShutdown: {
            continuation.finish()
        }
    }

    private func handle(_ events: AsyncStream<Event>) async {
        var watched = gateway.watchedFiles
        var loaded = initialStamps
        var last = loaded
        for await event in events {
            let seen = Self.stamps(of: [file] + watched)
            defer { last = seen }
            // A file that is being written is given time until it looks the same twice.
            guard event == .signal || seen != loaded && seen == last else { continue }
            watched = await reload()
            loaded = Self.stamps(of: [file] + watched)
        }
    }

    /// Returns the files to look at from now on.
    private func reload() async -> [String] {
        let configuration: GatewayConfiguration
        do throws(ConfigurationErrors) {
            configuration = try GatewayConfiguration(file: file, environment: environment)
        } catch {
            refused(error.problems.map(\.description))
            return gateway.watchedFiles + error.watchedFiles
        }
        do throws(ReloadRefused) {
            try await gateway.reload(configuration)
            logger.notice("configuration reloaded", metadata: ["gateway.configuration": "\(file)"])
            return gateway.watchedFiles
        } catch {
            refused(error.reasons)
            return gateway.watchedFiles + configuration.watchedFiles
        }
    }

    private func refused(_ reasons: [String]) {
        for reason in reasons {
            logger.error(
                "the new configuration is refused, the old one stays in force",
                metadata: ["gateway.configuration.problem": "\(reason)"])
        }
        gateway.reloads.failed()
    }

    // MARK: Files

    /// What a file looks like from outside; another one wherever its content may be.
    private struct Stamp: Equatable {
        var device: UInt
        var inode: UInt
        var size: Int
        var changed: [Int]
    }

    private static func stamps(of files: [String]) -> [String: Stamp] {
        var stamps: [String: Stamp] = [:]
        for path in files {
            var status = stat()
            // A file that is not there has none.
            guard stat(path, &status) == 0 else { continue }
            stamps[path] = Stamp(
                device: UInt(status.st_dev), inode: UInt(status.st_ino), size: status.st_size,
                changed: [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec])
        }
        return stamps
    }
}

/// Why a configuration without mistakes is not taken over by a running gateway.
struct ReloadRefused: Error {
    var reasons: [String]
}
