import GatewayAdmin
import Logging
import NIOPosix
import ServiceLifecycle

/// A gateway with its admin listener, as `serve` and `demo` run it.
struct GatewayProcess {
    let gateway: Gateway
    private let admin: AdminServer
    private let sampler: StatusSampler

    /// - Parameters:
    ///   - onListening: told the ports of the listeners once all are bound.
    ///   - onAdminListening: told the port of the admin listener.
    init(
        _ configuration: GatewayConfiguration, logger: Logger,
        onListening: @escaping @Sendable ([Int]) async -> Void = { _ in },
        onAdminListening: @escaping @Sendable (Int) -> Void
    ) async throws {
        let control = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        gateway = try await Gateway(
            configuration, controlLoop: control.next(), logger: logger, onListening: onListening)
        sampler = StatusSampler(gateway)
        admin = AdminServer(
            address: configuration.admin, tls: configuration.adminAccess.tls, access: gateway.adminAccess,
            socket: configuration.adminSocket, source: AdminSource(gateway, sampler), control: gateway.control,
            eventLoop: control.next(), onTLS: { [gateway] in gateway.useAdmin($0) }, onListening: onAdminListening)
    }

    /// Shut down in reverse order: the admin listener responds until the gateway has drained.
    ///
    /// - Parameter others: services that start before the gateway and shut down after it has drained.
    func services(with others: [any Service] = []) -> [any Service] { [admin, sampler] + others + [gateway] }
}
