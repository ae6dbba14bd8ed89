import GatewayCore
import NIOCore

/// The master that the Sentinels name. They are asked again and again: a master that another has replaced, or that they have lost
/// sight of, may go on taking writes that nobody else will ever see.
final class SentinelServer: RedisTopology {
    private let sentinels: SentinelPoll
    private let node: RedisNode
    private let waitReplicas: RedisConfiguration.Replicas
    private let eventLoop: any EventLoop

    init(
        _ connector: RedisConnector, master: String, epochs: EpochKeeper?, keys: RecordKeys,
        onReady: @escaping (RedisNode) -> Void, onLost: @escaping (RedisNode, String) -> Void
    ) {
        let sentinels = SentinelPoll(connector, master: master)
        let waitReplicas = connector.configuration.waitReplicas
        self.sentinels = sentinels
        self.waitReplicas = waitReplicas
        eventLoop = connector.eventLoop
        node = RedisNode(
            connector, as: .records, epochs: epochs,
            resolve: { completion in
                sentinels.ask { report in
                    guard let report else {
                        return completion(
                            .failure(.init(reason: "no majority of the Sentinels names a master `\(master)`")))
                    }
                    completion(.success(report.address))
                }
            },
            onReady: { node in
                if waitReplicas == .all, let report = sentinels.agreed?.report {
                    node.waitReplicas = report.confirmations(connected: node.replicasAtFirst)
                }
                onReady(node)
            }, onLost: onLost)
        node.epochKey = keys.epoch
        if case .count(let count) = waitReplicas { node.waitReplicas = count }
    }

    var isUp: Bool { node.isReady }

    func start() {
        sentinels.start()
        node.connect()
    }

    func shutDown() {
        node.shutDown()
        sentinels.shutDown()
    }

    func node(for key: ByteBuffer?) -> RedisNode? { node }
    var nodes: [RedisNode] { node.isReady ? [node] : [] }
    var replicas: Int? { sentinels.agreed?.report.replicas.count }
    func node(for refusal: RedisRefusal) -> RedisNode? { nil }

    func look() {
        guard node.isReady else { return }
        sentinels.ask { [self] report in
            guard node.isReady else { return }
            if let report {
                guard report.address == node.address else {
                    return node.reconnect(because: "the Sentinels name another master, \(report.address)")
                }
                if waitReplicas == .all { waitForAll(of: report) }
            } else if let agreed = sentinels.agreed, eventLoop.now - agreed.at > TimeAmount(agreed.report.downAfter) {
                node.reconnect(
                    because: "no majority of the Sentinels has named this master for \(agreed.report.downAfter)")
            }
        }
    }

    private func waitForAll(of report: SentinelReport) {
        node.send(RedisRequest(.plain(["INFO", "replication"]))) { [node] result in
            var connected: Set<RedisConfiguration.Address>?
            if case .success(let reply) = result, let text = reply.text {
                connected = ServerInformation(text).replicas
            }
            node.waitReplicas = report.confirmations(connected: connected)
        }
    }
}
