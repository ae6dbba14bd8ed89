import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// Reopens access and audit log on SIGUSR1, which whoever has renamed their files sends.
struct LogReopening: Service {
    private let logs: LogFiles
    private let logger: Logger

    init(_ logs: LogFiles, _ logger: Logger) {
        self.logs = logs
        self.logger = logger
        // Until it is waited for, it must not end the process.
        signal(SIGUSR1, SIG_IGN)
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in await UnixSignalsSequence(trapping: .sigusr1) {
                let reasons = await logs.reopen()
                for reason in reasons {
                    logger.error(
                        "a log file could not be reopened; the old one stays in use",
                        metadata: ["error": "\(reason)"])
                }
                if reasons.isEmpty { logger.notice("log files reopened") }
            }
        }
    }
}
