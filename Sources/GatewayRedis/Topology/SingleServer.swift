import NIOCore

/// One master: at a fixed address, or wherever the Sentinels say it is.
final class SingleServer: RedisTopology {
    private var node: RedisNode

    init(
        _ connector: RedisConnector, resolve: @escaping RedisNode.Resolve, onReady: @escaping (RedisNode) -> Void,
        onLost: @escaping (RedisNode, String) -> Void
    ) {
        node = RedisNode(connector, as: .records, resolve: resolve, onReady: onReady, onLost: onLost)
    }

    var isUp: Bool { node.isReady }
    func start() { node.connect() }
    func shutDown() { node.shutDown() }
    func node(for key: ByteBuffer?) -> RedisNode? { node }
    var nodes: [RedisNode] { node.isReady ? [node] : [] }
    func node(for refusal: RedisRefusal) -> RedisNode? { nil }
}
