import GatewayAdmin
import GatewayCore
import GatewayServer
import Logging
import NIOCore
import ServiceLifecycle

/// The admin listeners. The same decoder and the same limits as those of callers', and few connections: whatever is done to them, the
/// data plane keeps its descriptors.
struct AdminServer: Service {
    private static let maximumConnections = 128
    /// Of the socket: whoever can open it may change something.
    private static let socketMode: UInt32 = 0o600

    let address: SocketAddressText
    let tls: ListenerConfiguration.TLS?
    let access: AdminAccess
    /// The path of a Unix socket for operators; nil: there is none.
    let socket: String?
    let source: AdminSource
    let control: AdminControl
    let eventLoop: any EventLoop
    /// Told the certificate, which a reload reads again.
    let onTLS: @Sendable (ListenerTLS) -> Void
    /// Told the port once the listeners are bound.
    var onListening: @Sendable (Int) async -> Void = { _ in }

    func run() async throws {
        let isLoopback = APIEndpoint.isLoopback(host: address.host)
        let listener = try await bind(.tcp(host: address.host, port: address.port), isLoopback: isLoopback, access)
        if let tls = listener.tls { onTLS(tls) }
        var listeners = [listener]
        if let socket {
            var access = UnixSocketAccess()
            access.mode = Self.socketMode
            listeners.append(try await bind(.unix(path: socket, access: access), isLoopback: true, nil))
        }
        await onListening(listener.port ?? address.port)
        try? await gracefulShutdown()
        // Nobody who does not read keeps the process from ending.
        for listener in listeners { try await listener.abort() }
        for listener in listeners { try await listener.finish() }
    }

    private func bind(
        _ address: ListenerConfiguration.Address, isLoopback: Bool, _ access: AdminAccess?
    ) async throws -> HTTPListener {
        var configuration = ListenerConfiguration(address)
        configuration.limits.contentBytes = 4096
        if access != nil { configuration.tls = tls }
        // Browsers speak it over TLS alone, and pages are large: a connection has one at a time.
        configuration.http2 = false
        configuration.maximumConnections = min(Self.maximumConnections, ThisProcess.connectionsForAdmin)
        // On other addresses nobody keeps probes out by connections that are idle.
        configuration.maximumConnectionsPerAddress =
            isLoopback ? configuration.maximumConnections : configuration.maximumConnections / 4
        let (source, control, eventLoop) = (source, control, eventLoop)
        let handler = try await eventLoop.submit {
            let pages = AdminPages(
                source, isLoopback: isLoopback, control: control, access: access, eventLoop: eventLoop)
            return NIOLoopBound<any RequestHandler>(pages, eventLoop: eventLoop)
        }.get()
        return try await HTTPListener.bind(
            configuration, handlers: [handler],
            encoder: ResponseEncoder(endpoints: ByRegion { .official($0) }, isForBrowsers: true), group: eventLoop,
            inherited: InheritedSockets(environment: [:]))
    }
}
