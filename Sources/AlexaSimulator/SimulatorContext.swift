import Glibc
import Hummingbird
import NIOCore

/// Gives the routes the connection of their request, so that they can break it.
struct SimulatorContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }

    /// That of the request or, over HTTP/2, that of its stream.
    private var connection: any Channel {
        channel is any SocketOptionProvider ? channel : channel.parent ?? channel
    }

    /// Ends the connection with a reset instead of an orderly close.
    func resetConnection() async {
        let resets = linger(l_onoff: 1, l_linger: 0)
        try? await (connection as? any SocketOptionProvider)?.setSoLinger(resets).get()
        try? await connection.close().get()
    }
}
