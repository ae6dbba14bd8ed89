package import GatewayCore
import NIOCore

/// Redis as it counts rates over all replicas. On a connection of its own, so that no message waits behind a lease;
/// it is made when the first is asked for.
package final class RedisPermitServer: PermitServer {
    /// A replica that was not heard of for so long is not counted.
    private static let replicaLifetime = Duration.seconds(30)

    private let client: NIOLoopBound<RedisClient>
    private let keys: RecordKeys
    private let unixMilliseconds: @Sendable () -> Int
    private let replica: String

    /// To be called on the client's event loop.
    ///
    /// - Parameters:
    ///   - replica: tells this process from all others.
    ///   - unixMilliseconds: the time of day.
    package init(
        _ client: RedisClient, replica: String, unixMilliseconds: @escaping @Sendable () -> Int
    ) {
        keys = client.keys
        self.client = NIOLoopBound(client, eventLoop: client.eventLoop)
        self.replica = replica
        self.unixMilliseconds = unixMilliseconds
    }

    package func lease(
        _ request: PermitRequest, of caller: String, _ then: @escaping @Sendable (PermitLease?) -> Void
    ) {
        run(RateScripts.lease, keys.rate(of: caller), RateScripts.arguments(request, unixMicroseconds: now)) { reply in
            then(reply.flatMap(PermitLease.init))
        }
    }

    package func countReplicas(_ then: @escaping @Sendable (Int?) -> Void) {
        let lifetime = Self.replicaLifetime.inMilliseconds * 1000
        run(RateScripts.replicas, keys.replicas, [String(now), replica, String(lifetime)]) { reply in
            guard case .integer(let count)? = reply else { return then(nil) }
            then(min(max(1, count), 1_000))
        }
    }

    /// Tries both, on keys of its own. Calls `then` once, on the client's event loop, with whether the server lets it.
    package static func tryOut(
        _ client: RedisClient, unixMilliseconds: Int, _ then: @escaping @Sendable (Bool) -> Void
    ) {
        let (key, microseconds) = (client.keys.replicas + ":trial", unixMilliseconds &* 1000)
        let request = PermitRequest(limit: RateLimit(perSecond: 1, burst: 1), wanted: 1)
        let lease = RedisCommand.script(
            RateScripts.lease, key: key + ":rate",
            arguments: RateScripts.arguments(request, unixMicroseconds: microseconds))
        client.run(lease) { reply in
            guard case .success = reply else { return then(false) }
            let arguments = [String(microseconds), "trial", "1000000"]
            client.run(.script(RateScripts.replicas, key: key, arguments: arguments)) { reply in
                guard case .success = reply else { return then(false) }
                then(true)
            }
        }
    }

    private var now: Int { unixMilliseconds() &* 1000 }

    private func run(
        _ script: RedisScript, _ key: String, _ arguments: [String], _ then: @escaping @Sendable (RESPValue?) -> Void
    ) {
        let client = client
        client.eventLoop.execute {
            client.value.startIfNeeded()
            client.value.run(.script(script, key: key, arguments: arguments)) { then(try? $0.get()) }
        }
    }

    /// Ends the connection.
    package func shutDown() {
        let client = client
        client.eventLoop.execute { client.value.shutDown() }
    }
}

extension PermitLease {
    /// Whatever a server says, it neither traps nor keeps a caller waiting for hours.
    init?(_ reply: RESPValue) {
        guard case .array(let elements) = reply, elements.count == 3, case .integer(let permits) = elements[0],
            case .integer(let wait) = elements[1], case .integer(let ahead) = elements[2], permits > 0
        else { return nil }
        func nanoseconds(_ microseconds: Int) -> Int64 {
            Int64(min(max(0, microseconds), 3_600_000_000)) * 1000
        }
        self.init(
            permits: min(permits, 1_000_000), wait: nanoseconds(wait), ahead: nanoseconds(ahead))
    }
}
