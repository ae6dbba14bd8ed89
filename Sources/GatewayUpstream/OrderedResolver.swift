import NIOCore
import NIOPosix

/// Resolves one name once by the system's resolver, and puts the addresses into the order of `HostAddresses`.
final class OrderedResolver: Resolver, Sendable {
    /// In an order of chance within each family, so that connections spread over the addresses.
    private let system: NIORandomizedDNSResolver
    private let addresses: NIOLoopBoundBox<HostAddresses>
    private let eventLoop: any EventLoop
    private let v4: EventLoopPromise<[SocketAddress]>

    init(_ addresses: NIOLoopBoundBox<HostAddresses>, on eventLoop: any EventLoop) {
        system = NIORandomizedDNSResolver(loop: eventLoop)
        self.addresses = addresses
        self.eventLoop = eventLoop
        v4 = eventLoop.makePromise()
    }

    /// NIO asks for these first, and both are needed to put them into order.
    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        let all = system.initiateAAAAQuery(host: host, port: port)
            .and(system.initiateAQuery(host: host, port: port))
            .map { [addresses, eventLoop] v6, v4 in addresses.value.resolved((v6, v4), now: eventLoop.now) }
        all.map { $0.v4 }.cascade(to: v4)
        return all.map { $0.v6 }
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { v4.futureResult }

    func cancelQueries() { system.cancelQueries() }
}
