import GatewayCore
import NIOCore

/// A cluster: a connection to each master, and the map of who keeps what, corrected by every redirection.
final class RedisCluster: RedisTopology {
    /// While something is amiss, the map is asked for this often.
    private static let refreshPause = Duration.milliseconds(250)

    private let connector: RedisConnector
    private let onReady: (RedisNode) -> Void
    private let onLost: (RedisNode, String) -> Void
    private var slots = ClusterSlots()
    private var nodesByAddress: [RedisConfiguration.Address: RedisNode] = [:]
    private var isRefreshing = false
    private var refreshIsDue = false
    private var isShutDown = false

    init(
        _ connector: RedisConnector, onReady: @escaping (RedisNode) -> Void,
        onLost: @escaping (RedisNode, String) -> Void
    ) {
        self.connector = connector
        self.onReady = onReady
        self.onLost = onLost
    }

    var isUp: Bool { slots.isComplete && slots.nodes.allSatisfy { nodesByAddress[$0]?.isReady == true } }

    var nodes: [RedisNode] { slots.nodes.compactMap { nodesByAddress[$0] }.filter(\.isReady) }

    func start() {
        for seed in connector.configuration.addresses { _ = open(seed) }
    }

    func shutDown() {
        isShutDown = true
        for node in nodesByAddress.values { node.shutDown() }
        nodesByAddress.removeAll()
    }

    func node(for key: ByteBuffer?) -> RedisNode? {
        guard let key else { return nodes.first ?? nodesByAddress.values.first { $0.isReady } }
        guard let address = slots.address(of: ClusterSlots.slot(of: key)) else {
            refreshSoon()
            return nil
        }
        return open(address)
    }

    func node(for refusal: RedisRefusal) -> RedisNode? {
        switch refusal {
        case .moved(let slot, let address):
            slots.set(slot, to: address)
            refreshSoon()
            return open(address)
        case .ask(let address): return open(address)
        case .clusterDown, .wrongServer:
            refreshSoon()
            return nil
        case .unknownScript, .full, .other: return nil
        }
    }

    private func open(_ address: RedisConfiguration.Address) -> RedisNode? {
        if let node = nodesByAddress[address] { return node }
        guard !isShutDown else { return nil }
        let node = RedisNode(
            connector, as: .clusterNode, resolve: { $0(.success(address)) },
            onReady: { [weak self] node in self?.nodeReady(node) },
            onLost: { [weak self] node, reason in self?.nodeLost(node, reason) })
        nodesByAddress[address] = node
        node.connect()
        return node
    }

    private func nodeReady(_ node: RedisNode) {
        // A node that was away may have lost its slots to another.
        refresh(by: node)
        onReady(node)
    }

    private func nodeLost(_ node: RedisNode, _ reason: String) {
        refreshSoon()
        onLost(node, reason)
    }

    // MARK: The map

    private func refreshSoon() {
        guard !refreshIsDue, !isShutDown else { return }
        refreshIsDue = true
        connector.eventLoop.assumeIsolated().scheduleTask(deadline: connector.eventLoop.now + Self.refreshPause) {
            self.refreshIsDue = false
            self.refresh(by: self.node(for: nil))
        }
    }

    private func refresh(by node: RedisNode?) {
        guard !isRefreshing, !isShutDown else { return }
        guard let node, let address = nodesByAddress.first(where: { $0.value === node })?.key else {
            for seed in connector.configuration.addresses { _ = open(seed) }
            return refreshSoon()
        }
        isRefreshing = true
        node.send(RedisRequest(.plain(["CLUSTER", "SLOTS"]))) { result in
            self.isRefreshing = false
            if case .success(let reply) = result, let slots = ClusterSlots(reply, from: address.host) {
                self.replace(slots)
            }
            if !self.isUp { self.refreshSoon() }
        }
    }

    private func replace(_ newer: ClusterSlots) {
        slots = newer
        let used = Set(slots.nodes)
        for address in used { _ = open(address) }
        guard !used.isEmpty else { return }
        for (address, node) in nodesByAddress where !used.contains(address) {
            nodesByAddress[address] = nil
            node.shutDown()
        }
    }
}
