package import GatewayCore
package import Logging

/// What an operator can do to a running gateway.
package struct AdminControl: Sendable {
    package enum Verb: Equatable, Sendable {
        /// Ends the process as SIGTERM does.
        case drain
        /// Until the next reload or restart.
        case logLevel(Logger.Level)
        case pause(Pauses.Subject)
        case resume(Pauses.Subject)
        /// Everything.
        case resumeAll
    }

    /// Why nothing was done.
    package struct Refused: Error, Equatable {
        package var detail: String

        package init(_ detail: String) {
            self.detail = detail
        }
    }

    /// Does it, and writes down that it was done; nil unless it was refused.
    package var perform: @Sendable (Verb) -> Refused?
    /// What is paused now.
    package var paused: @Sendable () -> [Pauses.Subject]

    package init(
        perform: @escaping @Sendable (Verb) -> Refused?,
        paused: @escaping @Sendable () -> [Pauses.Subject]
    ) {
        self.perform = perform
        self.paused = paused
    }
}
