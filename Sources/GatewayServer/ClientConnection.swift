import GatewayCore
import NIOCore

/// A connection from a client, over whichever protocol, as its listener sees it.
protocol ClientConnection: AnyObject {
    var peer: Peer { get }

    /// Called by the sweep of the loop.
    func checkDeadlines(now: NIODeadline)

    /// From here on the client is to learn that its connection ends, in whichever way costs it least.
    func startDraining()

    /// Ends as soon as the client waits for nothing, or soon all the same.
    func drain()

    /// Closes at once, answered or not.
    func close()
}
