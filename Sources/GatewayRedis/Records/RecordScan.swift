package import GatewayCore
package import NIOCore

/// A record as a server keeps it.
package struct StoredRecord: Equatable, Sendable {
    package var scope: IdempotencyScope
    package var report: KeyReport
    package var timeToLive: Duration

    package init(scope: IdempotencyScope, report: KeyReport, timeToLive: Duration) {
        (self.scope, self.report, self.timeToLive) = (scope, report, timeToLive)
    }
}

/// Why the records could not all be read.
package struct RecordScanError: Error, CustomStringConvertible {
    package var description: String
}

extension RedisClient {
    /// Reads the records of all servers, a page at a time. One that is made or changed meanwhile may be missed, or come as it was; one may
    /// come twice.
    ///
    /// - Parameter body: told each page, on the event loop, and how many of its keys hold no record.
    package func readRecords(
        _ body: @escaping (_ records: [StoredRecord], _ strangers: Int) -> Void
    ) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        guard isUp, let nodes = topology?.nodes, !nodes.isEmpty else {
            promise.fail(RecordScanError(description: "the store cannot be reached"))
            return promise.futureResult
        }
        RecordScan(nodes, keys, promise, body).start()
        return promise.futureResult
    }
}

/// Bound to the event loop of the nodes.
private final class RecordScan {
    /// Keys that a server looks at for one page.
    private static let pageLength = "500"
    /// What `PTTL` says of a key that is not there.
    private static let isGone = -2
    /// In milliseconds; `idempotency.retention` is never longer.
    private static let longestLife = 31 * 86_400_000

    private var nodes: [RedisNode]
    private let keys: RecordKeys
    private let promise: EventLoopPromise<Void>
    private let body: ([StoredRecord], Int) -> Void

    init(
        _ nodes: [RedisNode], _ keys: RecordKeys, _ promise: EventLoopPromise<Void>,
        _ body: @escaping ([StoredRecord], Int) -> Void
    ) {
        self.nodes = nodes
        self.keys = keys
        self.promise = promise
        self.body = body
    }

    func start() { next(cursor: "0") }

    private func next(cursor: String) {
        guard let node = nodes.last else { return promise.succeed() }
        node.send(RedisRequest(.plain(["SCAN", cursor, "MATCH", keys.pattern, "COUNT", Self.pageLength]))) { result in
            guard case .success(.array(let reply)) = result, reply.count == 2, let cursor = reply[0].text,
                case .array(let names) = reply[1]
            else { return self.fail(result) }
            self.read(names.compactMap(\.text), of: node) {
                if cursor == "0" { self.nodes.removeLast() }
                self.next(cursor: cursor)
            }
        }
    }

    /// Values and times to live, as they are by now.
    private func read(_ names: [String], of node: RedisNode, _ goOn: @escaping () -> Void) {
        var records: [StoredRecord] = []
        var strangers = 0
        var left = names.count
        guard left > 0 else { return goOn() }
        for name in names {
            var value: Result<RESPValue, RedisFailure> = .success(.null)
            node.send(RedisRequest(.plain(["GET", name]))) { value = $0 }
            node.send(RedisRequest(.plain(["PTTL", name]))) { result in
                guard case .success(.integer(let remaining)) = result else { return self.fail(result) }
                switch value {
                case .success(.null): break  // it has expired meanwhile
                case .success(.string(let bytes)):
                    if let record = self.record(name, bytes, remaining: remaining) {
                        records.append(record)
                    } else if remaining != 0 && remaining != Self.isGone {
                        strangers += 1
                    }
                case .success(.error(let text)) where text.hasPrefix("WRONGTYPE"): strangers += 1
                default: return self.fail(value)
                }
                left -= 1
                guard left == 0 else { return }
                self.body(records, strangers)
                goOn()
            }
        }
    }

    /// Nil for what no gateway has written, or what is over.
    private func record(_ name: String, _ bytes: ByteBuffer, remaining: Int) -> StoredRecord? {
        guard (1...Self.longestLife).contains(remaining), let scope = keys.scope(ofRecordKey: name),
            let value = RecordValue(bytes)
        else { return nil }
        return StoredRecord(
            scope: scope, report: value.report(remaining: remaining), timeToLive: .milliseconds(remaining))
    }

    /// May be called again for what was asked before.
    private func fail(_ result: Result<RESPValue, RedisFailure>) {
        switch result {
        case .success(.error(let text)): promise.fail(RecordScanError(description: "the store refuses: \(text)"))
        case .success: promise.fail(RecordScanError(description: "the store does not answer as Redis does"))
        case .failure: promise.fail(RecordScanError(description: "the store cannot be reached any more"))
        }
    }
}
