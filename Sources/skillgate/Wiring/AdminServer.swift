import GatewayAdmin
import GatewayCore
import GatewayServer
import Logging
import NIOCore
import ServiceLifecycle

/// The admin listener. The same decoder and the same limits as those of callers', and few connections: whatever is done to it, the
/// data plane keeps its descriptors.
struct AdminServer: Service {
    private static let maximumConnections = 128

    let address: SocketAddressText
    let source: AdminSource
    let eventLoop: any EventLoop
    /// Told the port once the listener is bound.
    var onListening: @Sendable (Int) async -> Void = { _ in }

    func run() async throws {
        let listener = try await bind()
        await onListening(listener.port ?? address.port)
        try? await gracefulShutdown()
        // Nobody who does not read keeps the process from ending.
        try await listener.abort()
        try await listener.finish()
    }

    private func bind() async throws -> HTTPListener {
        var configuration = ListenerConfiguration(.tcp(host: address.host, port: address.port))
        configuration.limits.contentBytes = 4096
        // Browsers speak it over TLS alone, and pages are large: a connection has one at a time.
        configuration.http2 = false
        configuration.maximumConnections = min(Self.maximumConnections, ThisProcess.connectionsForAdmin)
        configuration.maximumConnectionsPerAddress = configuration.maximumConnections
        let (source, eventLoop, isLoopback) = (source, eventLoop, APIEndpoint.isLoopback(host: address.host))
        let handler = try await eventLoop.submit {
            let pages = AdminPages(source, isLoopback: isLoopback, eventLoop: eventLoop)
            return NIOLoopBound<any RequestHandler>(pages, eventLoop: eventLoop)
        }.get()
        return try await HTTPListener.bind(
            configuration, handlers: [handler],
            encoder: ResponseEncoder(endpoints: ByRegion { .official($0) }, isForBrowsers: true), group: eventLoop,
            inherited: InheritedSockets(environment: [:]))
    }
}
