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

    /// Who does it.
    package struct Actor: Equatable, Sendable {
        /// Nil: whoever can open the Unix socket.
        package var name: String?
        /// Where the request comes from.
        package var address: String
    }

    /// Does it, and writes down that it was done and by whom; nil unless it was refused.
    package var perform: @Sendable (Verb, Actor) -> Refused?
    /// What is paused now.
    package var paused: @Sendable () -> [Pauses.Subject]

    package init(
        perform: @escaping @Sendable (Verb, Actor) -> Refused?,
        paused: @escaping @Sendable () -> [Pauses.Subject]
    ) {
        self.perform = perform
        self.paused = paused
    }
}
