import GatewayCore
import NIOCore

/// A connection from a client, over whichever protocol, as its listener sees it.
protocol ClientConnection: AnyObject {
    var peer: Peer { get }

    /// Called by the sweep of the loop.
    func checkDeadlines(now: NIODeadline)

    /// From here on the client is to learn that its connection ends.
    func startDraining()

    /// No further request is taken: closes now if none is being answered.
    func drain()

    /// Closes at once, answered or not.
    func close()
}
