package import GatewayCore
import NIOCore

/// Asks Redis, which counts rates over all replicas. On a connection apart from the records', so that no claim waits behind a lease.
package final class RedisPermitClient: PermitClient {
    /// A replica that was not heard of for so long is not counted.
    private static let replicaLifetime = Duration.seconds(30)

    private let client: NIOLoopBound<RedisClient>
    private let keys: RecordKeys
    private let replica: String

    /// To be called on the client's event loop.
    ///
    /// - Parameter replica: tells this process from all others.
    package init(
        _ client: RedisClient, replica: String
    ) {
        keys = client.keys
        self.client = NIOLoopBound(client, eventLoop: client.eventLoop)
        self.replica = replica
    }

    package func lease(
        _ request: PermitRequest, of caller: String, _ then: @escaping @Sendable (PermitLease?) -> Void
    ) {
        run(RateScripts.lease, keys.rate(of: caller), RateScripts.arguments(request)) { reply in
            then(reply.flatMap(PermitLease.init))
        }
    }

    package func countReplicas(_ then: @escaping @Sendable (Int?) -> Void) {
        let lifetime = Self.replicaLifetime.inMilliseconds * 1000
        run(RateScripts.replicas, keys.replicas, [replica, String(lifetime)]) { reply in
            guard case .integer(let count)? = reply else { return then(nil) }
            then(min(max(1, count), 1_000))
        }
    }

    /// Tries both, on keys of its own. Calls `then` once, on the client's event loop, with whether the server lets it.
    package static func tryOut(
        _ client: RedisClient, _ then: @escaping @Sendable (Bool) -> Void
    ) {
        let key = client.keys.replicas + ":trial"
        let request = PermitRequest(limit: RateLimit(perSecond: 1, burst: 1), wanted: 1)
        let lease = RedisCommand.script(
            RateScripts.lease, key: key + ":rate",
            arguments: RateScripts.arguments(request))
        client.run(lease) { reply in
            guard case .success = reply else { return then(false) }
            let arguments = ["trial", "1000000"]
            client.run(.script(RateScripts.replicas, key: key, arguments: arguments)) { reply in
                guard case .success = reply else { return then(false) }
                then(true)
            }
        }
    }

    private func run(
        _ script: RedisScript, _ key: String, _ arguments: [String], _ then: @escaping @Sendable (RESPValue?) -> Void
    ) {
        client.run(.script(script, key: key, arguments: arguments)) { then(try? $0.get()) }
    }
}

extension PermitLease {
    /// Whatever a server says, it neither traps nor keeps a caller waiting for hours.
    init?(_ reply: RESPValue) {
        guard case .array(let elements) = reply, elements.count == 3, case .integer(let permits) = elements[0],
            case .integer(let wait) = elements[1], case .integer(let ahead) = elements[2], permits >= 0
        else { return nil }
        func nanoseconds(_ microseconds: Int, atMost hours: Int64) -> Int64 {
            min(Int64(max(0, min(microseconds, 1 << 50))), hours * 3_600_000_000) * 1000
        }
        self.init(
            permits: min(permits, 1_000_000), wait: nanoseconds(wait, atMost: 1),
            ahead: nanoseconds(ahead, atMost: 1_000))
    }
}
