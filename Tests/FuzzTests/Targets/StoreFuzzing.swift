import NIOCore

@testable import GatewayCore
@testable import GatewayRedis

/// What comes from a Redis, or from somebody in its place.
enum StoreFuzzing {
    static func resp(_ bytes: [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        do {
            while let value = try RESPParser.next(&buffer) {
                _ = ClusterSlots(value, from: "h")
                _ = KeyReport(value)
                if case .error(let text) = value { _ = RedisRefusal(text, from: "h") }
            }
        } catch {
            promise(!error.detail.isEmpty, "an error that says nothing")
        }
    }

    static func record(_ bytes: [UInt8]) {
        guard let value = RecordValue(ByteBuffer(bytes: bytes)) else { return }
        var written = ByteBuffer()
        value.write(to: &written)
        promise(RecordValue(written) == value, "a record that changes when it is written")
        guard case .accepted(_, let answer) = value else { return }
        promise((200...299).contains(answer.status), "an acceptance of another status")
        let requestID = answer.requestID?.description ?? ""
        promise(requestID.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "a request id that can become a field")
    }

    static func quota(_ bytes: [UInt8]) {
        guard let report = QuotaReport(String(decoding: bytes, as: UTF8.self)) else { return }
        promise(QuotaReport(report.text) == report, "a report that changes when it is written")
        let caller = Caller(index: 0, name: report.callers.first?.id ?? "a", skills: [0])
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var state = QuotaState(letThrough: 1, isShared: true, hasReplicas: true, now: now)
        for _ in 0..<8 {
            now = now + .milliseconds(250)
            let wait = state.admit(caller, now: now)
            promise((wait ?? 0) >= 0 && (wait ?? 0) <= 6_000_000_000, "a wait of \(wait ?? 0) ns")
            for _ in 0..<9 { state.answered(caller, isThrottled: true) }
            _ = state.verdict(on: caller, now: now)
            if let own = state.report(now: now) { state.use(own: own, of: now, others: [report, report], now: now) }
        }
        promise(state.perSecond.map { $0 >= 1 && $0 <= 1e13 } ?? true, "an estimate of \(state.perSecond ?? 0)")
    }
}
