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
}
