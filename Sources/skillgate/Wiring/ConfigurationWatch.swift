import Glibc
import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Loads the configuration again when it, a secret or a certificate changes, and on SIGHUP.
///
/// Files are polled several times a second, by name: that sees symbolic links that lead elsewhere now, as Kubernetes
/// makes them, and works on every file system. One that does not answer holds up nobody but this.
struct ConfigurationWatch: Service {
    private static let interval = Duration.milliseconds(200)
    private static let longestRead = Duration.seconds(10)

    let file: String
    let environment: [String: String]
    let gateway: Gateway
    let logger: Logger
    private let work = BlockingWork()

    init(file: String, environment: [String: String], gateway: Gateway, logger: Logger) {
        self.file = file
        self.environment = environment
        self.gateway = gateway
        self.logger = logger
        // Until it is waited for, it must not end the process.
        signal(SIGHUP, SIG_IGN)
    }

    func run() async throws {
        let isSignalled = SignalFlag()
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sighup) { isSignalled.raise() }
                }
                await watch(isSignalled)
                tasks.cancelAll()
            }
        }
    }

    /// Raised by each signal, and lowered when it is acted on: none is lost, however many come meanwhile.
    private final class SignalFlag: Sendable {
        private let isRaised = Atomic<Bool>(false)

        func raise() { isRaised.store(true, ordering: .releasing) }
        func lower() -> Bool { isRaised.exchange(false, ordering: .acquiring) }
    }

    private func watch(_ isSignalled: SignalFlag) async {
        // As they looked before they were read, so that what has changed since is seen.
        var loaded = gateway.watchedFiles
        var last = loaded
        var isHeldUp = false
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            guard !Task.isCancelled else { return }
            let before = loaded
            let seen: WatchedFiles
            do {
                seen = try await work.run(within: Self.longestRead) { before.lookedAtAgain() }
                isHeldUp = false
            } catch {
                if !isHeldUp && !Task.isCancelled { heldUp("a file that the configuration refers to") }
                isHeldUp = true
                continue
            }
            defer { last = seen }
            // A file that is being written is given time until it looks the same twice.
            let isAsked = isSignalled.lower()
            guard isAsked || seen != loaded && seen == last else { continue }
            if isAsked { gateway.serviceManager.tell(.reloading) }
            loaded = await reload()
            if isAsked { gateway.serviceManager.tell(.ready) }
        }
    }

    private func heldUp(_ what: String) {
        refused(["\(what) could not be read within \(Self.longestRead); its file system is unresponsive"])
    }

    /// Returns the files to look at from now on, as they looked before they were read.
    private func reload() async -> WatchedFiles {
        let (file, environment, progress) = (file, environment, ReadingProgress())
        let read: Result<GatewayConfiguration, ConfigurationErrors>
        do {
            read = try await work.run(within: Self.longestRead) {
                Result { () throws(ConfigurationErrors) in
                    try GatewayConfiguration(file: file, environment: environment, progress: progress)
                }
            }
        } catch {
            if !Task.isCancelled { heldUp(progress.current ?? file) }
            return gateway.watchedFiles
        }
        switch read {
        case .failure(let error):
            refused(error.problems.map(\.description))
            return error.watchedFiles.adding(gateway.watchedFiles)
        case .success(let configuration):
            let renamings = configuration.forgottenKeys(since: gateway.runningConfiguration)
            do throws(ReloadRefused) {
                try await gateway.reload(configuration)
                for renaming in renamings {
                    logger.warning(
                        "idempotency keys may have been forgotten",
                        metadata: ["gateway.configuration.problem": "\(renaming)"])
                }
                logger.notice("configuration reloaded", metadata: ["gateway.configuration": "\(file)"])
            } catch {
                refused(error.reasons)
            }
            return configuration.watchedFiles.adding(gateway.watchedFiles)
        }
    }

    private func refused(_ reasons: [String]) {
        for reason in reasons {
            logger.error(
                "new configuration refused; the old one stays in force",
                metadata: ["gateway.configuration.problem": "\(reason)"])
        }
        gateway.reloads.failed()
    }
}

/// Why a configuration without mistakes is not taken over by a running gateway.
struct ReloadRefused: Error {
    var reasons: [String]
}
