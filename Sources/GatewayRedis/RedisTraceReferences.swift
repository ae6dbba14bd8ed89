package import GatewayCore
import NIOCore

/// Keeps the spans of messages in Redis, beside their records, so that a duplicate or a receipt at any replica finds them.
package final class RedisTraceReferences: TraceReferences {
    private let client: NIOLoopBound<RedisClient>
    private let keys: RecordKeys

    /// To be called on the client's event loop.
    package init(_ client: RedisClient) {
        self.client = NIOLoopBound(client, eventLoop: client.eventLoop)
        keys = client.keys
    }

    package func remember(_ span: SpanReference, of record: IdempotencyScope, for lifetime: Duration) {
        let (client, key) = (client, keys.trace(of: record))
        let milliseconds = String(max(1, lifetime.inMilliseconds))
        client.run(.plain(["SET", key, span.text, "PX", milliseconds], key: key)) { _ in }
    }

    package func find(_ record: IdempotencyScope, _ then: @escaping @Sendable (SpanReference?) -> Void) {
        let key = keys.trace(of: record)
        client.run(.plain(["GET", key], key: key)) { reply in
            then((try? reply.get())?.text.flatMap { SpanReference($0) })
        }
    }
}
