import GatewayCore
import NIOCore

/// A cluster: a connection to each master, and the map of who keeps what, corrected by every redirection.
final class RedisCluster: RedisTopology {
    /// While something is amiss, the map is asked for this often.
    private static let refreshPause = Duration.milliseconds(250)

    private let connector: RedisConnector
    private let epochs: EpochKeeper?
    private let keys: RecordKeys
    private let onReady: (RedisNode) -> Void
    private let onLost: (RedisNode, String) -> Void
    private var slots = ClusterSlots()
    private var nodesByAddress: [RedisConfiguration.Address: RedisNode] = [:]
    private var isRefreshing = false
    private var refreshIsDue = false
    private var isShutDown = false

    init(
        _ connector: RedisConnector, epochs: EpochKeeper?, keys: RecordKeys, onReady: @escaping (RedisNode) -> Void,
        onLost: @escaping (RedisNode, String) -> Void
    ) {
        self.connector = connector
        self.epochs = epochs
        self.keys = keys
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
            connector, as: .clusterNode, epochs: epochs, resolve: { $0(.success(address)) },
            onReady: { [weak self] node in self?.nodeReady(node) },
            onLost: { [weak self] node, reason in self?.nodeLost(node, reason) })
        if case .count(let count) = connector.configuration.waitReplicas { node.waitReplicas = count }
        nodesByAddress[address] = node
        node.connect()
        return node
    }

    private func nodeReady(_ node: RedisNode) {
        if connector.configuration.waitReplicas == .all {
            // A redirection may have led here before the map does.
            node.waitReplicas = max(node.waitReplicas, node.replicasAtFirst?.count ?? 0)
        }
        // A node that was away may have lost its slots to another.
        look()
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
            self.look()
        }
    }

    /// Every node is asked, and the majority counts: one that was cut off from the others believes for a while that nothing has
    /// changed.
    func look() {
        guard !isRefreshing, !isShutDown else { return }
        let ready = nodesByAddress.filter { $0.value.isReady }
        guard !ready.isEmpty else {
            for seed in connector.configuration.addresses { _ = open(seed) }
            return refreshSoon()
        }
        isRefreshing = true
        var views: [ClusterSlots] = []
        var missing = ready.count
        for (address, node) in ready {
            node.send(RedisRequest(.plain(["CLUSTER", "SLOTS"]))) { result in
                if case .success(let reply) = result, let slots = ClusterSlots(reply, from: address.host) {
                    views.append(slots)
                }
                missing -= 1
                if missing == 0 { self.looked(views) }
            }
        }
    }

    private func looked(_ views: [ClusterSlots]) {
        isRefreshing = false
        if !views.isEmpty { replace(slots.agreement(of: views)) }
        if !isUp { refreshSoon() }
    }

    private func replace(_ newer: ClusterSlots) {
        let isChanged = !newer.isSameMap(as: slots)
        slots = newer
        let used = Set(slots.nodes)
        for address in used {
            guard let node = open(address) else { continue }
            if connector.configuration.waitReplicas == .all { node.waitReplicas = slots.replicas(of: address) }
            if isChanged { node.epochKey = epochKey(of: address) }
        }
        guard !used.isEmpty else { return }
        for (address, node) in nodesByAddress where !used.contains(address) {
            nodesByAddress[address] = nil
            node.shutDown()
        }
    }

    var replicas: Int? { slots.nodes.map { slots.replicas(of: $0) }.max() }

    /// The first of the series that the node keeps, which every gateway finds.
    private func epochKey(of address: RedisConfiguration.Address) -> String? {
        if keys.shareOneSlot { return slots.keeps(keys.epoch, at: address) ? keys.epoch : nil }
        // A node with one slot in n is found after about n tries.
        for number in 0..<ClusterSlots.count {
            let key = keys.epoch(number)
            if slots.keeps(key, at: address) { return key }
        }
        return nil
    }
}
