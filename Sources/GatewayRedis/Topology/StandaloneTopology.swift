import NIOCore

/// One master at an address that does not change, or at one of several.
final class StandaloneTopology: RedisTopology {
    private let node: RedisNode
    private let waitReplicas: RedisConfiguration.Replicas

    init(
        _ connector: RedisConnector, epochs: EpochKeeper?, keys: RecordKeys, onReady: @escaping (RedisNode) -> Void,
        onLost: @escaping (RedisNode, String) -> Void
    ) {
        waitReplicas = connector.configuration.waitReplicas
        let addresses = FixedAddresses(connector.configuration.addresses)
        node = RedisNode(
            connector, as: .records, epochs: epochs, resolve: addresses.resolve,
            onReady: { [waitReplicas] node in
                if waitReplicas == .all {
                    node.waitReplicas = max(node.waitReplicas, node.replicasAtFirst?.count ?? 0)
                }
                onReady(node)
            }, onLost: onLost)
        node.epochKey = keys.epoch
        if case .count(let count) = waitReplicas { node.waitReplicas = count }
    }

    var isUp: Bool { node.isReady }
    func start() { node.connect() }
    func shutDown() { node.shutDown() }
    func node(for key: ByteBuffer?) -> RedisNode? { node }
    var nodes: [RedisNode] { node.isReady ? [node] : [] }
    var replicas: Int? { nil }
    func node(for refusal: RedisRefusal) -> RedisNode? { nil }

    func look() {
        guard waitReplicas == .all, node.isReady else { return }
        // A replica that is away may come back and become the master: it counts from the first time it is seen.
        node.send(RedisRequest(.plain(["INFO", "replication"]))) { [node] result in
            guard case .success(let reply) = result, let text = reply.text,
                let replicas = ServerInformation(text)["connected_slaves"].flatMap({ Int($0) })
            else { return }
            node.waitReplicas = max(node.waitReplicas, replicas)
        }
    }
}
