import GatewayCore
import NIOCore

/// A connection as its pool knows it. It gives each lease back once: it was released, or lost with the connection.
protocol PooledConnection: UpstreamConnection {
    var id: PoolStateMachine.ConnectionID { get }

    /// Ends the connection. Receivers that wait get what has arrived of their responses, as far as it decides anything.
    func fail(_ failure: UpstreamFailure)

    /// Closes and tells the pool, once.
    func close()

    /// Called by the sweep of the pool.
    func checkDeadline(now: NIODeadline)
}
