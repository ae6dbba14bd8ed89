import GatewayCore
import NIOCore

/// What is asked of a server. Kept as a value until it is written, so that it can be written again elsewhere.
enum RedisCommand {
    /// By `SET … NX GET`, which is the whole of a first claim and finds what is there otherwise. Redis 7.0 and later.
    case claim(IdempotencyClaim)
    /// The same by script: also replaces what is doubtful, with consent, and says how much of a lease remains.
    ///
    /// - Parameter replacing: the fingerprint of what is doubtful; nil: the claim's own.
    case claimByScript(IdempotencyClaim, replacing: RequestFingerprint? = nil)
    case settle(IdempotencyClaim, Settlement)
    case report(IdempotencyScope)
    case receive(Receipt)
    /// A script that touches no record, with its key.
    case script(RedisScript, key: String, arguments: [String])
    /// - Parameter key: what decides which node of a cluster is asked; nil: any.
    case plain([String], key: String? = nil)

    /// Whether it may change a record, so that replicas have to confirm it where they are waited for.
    var isWrite: Bool {
        switch self {
        case .claim, .claimByScript, .settle, .receive: true
        case .report, .script, .plain: false
        }
    }

    var isClaim: Bool {
        switch self {
        case .claim, .claimByScript: true
        case .settle, .report, .receive, .script, .plain: false
        }
    }

    /// The bytes that decide which node of a cluster is asked.
    func routingKey(_ keys: RecordKeys) -> ByteBuffer? {
        switch self {
        case .claim(let claim), .claimByScript(let claim, _), .settle(let claim, _): keys.recordKey(claim.scope)
        case .report(let scope): keys.recordKey(scope)
        case .receive(let receipt): keys.recordKey(receipt.scope)
        case .script(_, let key, _): ByteBuffer(string: key)
        case .plain(_, let key): key.map(ByteBuffer.init(string:))
        }
    }

    /// - Parameter withSource: a script goes along whole, for a server that does not know it.
    func write(to buffer: inout ByteBuffer, keys: RecordKeys, withSource: Bool) {
        switch self {
        case .claim(let claim):
            buffer.writeStaticString("*7\r\n$3\r\nSET\r\n")
            Self.writeKey(claim.scope, keys, to: &buffer)
            Self.writeValue(RecordValue(claim), to: &buffer)
            buffer.writeStaticString("$2\r\nNX\r\n$3\r\nGET\r\n$2\r\nPX\r\n")
            buffer.writeRESPInteger(claim.retention.inMilliseconds)
        case .claimByScript(let claim, let recorded):
            Self.writeScript(RecordScripts.claim, arguments: 4, withSource: withSource, to: &buffer)
            Self.writeKey(claim.scope, keys, to: &buffer)
            Self.writeValue(RecordValue(claim), to: &buffer)
            buffer.writeRESPInteger(claim.retention.inMilliseconds)
            Self.write(recorded ?? claim.fingerprint, to: &buffer)
            buffer.writeRESPInteger(claim.consent ? 1 : 0)
        case .settle(let claim, let settlement):
            Self.writeSettle(claim, settlement, keys: keys, withSource: withSource, to: &buffer)
        case .report(let scope):
            Self.writeScript(RecordScripts.report, arguments: 0, withSource: withSource, to: &buffer)
            Self.writeKey(scope, keys, to: &buffer)
        case .receive(let receipt):
            Self.writeScript(RecordScripts.receive, arguments: 4, withSource: withSource, to: &buffer)
            Self.writeKey(receipt.scope, keys, to: &buffer)
            buffer.writeStaticString("$8\r\n")
            buffer.writeInteger(receipt.receivedAt)
            buffer.writeStaticString("\r\n")
            buffer.writeRESPInteger(Int(clamping: receipt.receivedAt))
            if let latest = receipt.latestExpiry {
                buffer.writeRESPInteger(Int(clamping: latest))
            } else {
                buffer.writeStaticString("$0\r\n\r\n")
            }
            buffer.writeStaticString(receipt.fingerprint == nil ? "$0\r\n" : "$4\r\n")
            if let fingerprint = receipt.fingerprint { buffer.writeInteger(fingerprint) }
            buffer.writeStaticString("\r\n")
        case .script(let script, let key, let arguments):
            Self.writeScript(script, arguments: arguments.count, withSource: withSource, to: &buffer)
            for word in [key] + arguments { buffer.writeRESPString(word) }
        case .plain(let words, _):
            buffer.writeRESPCommand(words)
        }
    }

    private static func writeSettle(
        _ claim: IdempotencyClaim, _ settlement: Settlement, keys: RecordKeys, withSource: Bool,
        to buffer: inout ByteBuffer
    ) {
        writeScript(RecordScripts.settle, arguments: 5, withSource: withSource, to: &buffer)
        writeKey(claim.scope, keys, to: &buffer)
        switch settlement {
        case .accepted: buffer.writeStaticString("$8\r\naccepted\r\n")
        case .unknown: buffer.writeStaticString("$7\r\nunknown\r\n")
        case .released, .refused: buffer.writeStaticString("$8\r\nreleased\r\n")
        }
        write(claim.fingerprint, to: &buffer)
        buffer.writeStaticString("$16\r\n")
        buffer.write(claim.owner)
        buffer.writeStaticString("\r\n")
        switch settlement {
        case .accepted(let answer): writeValue(.accepted(claim.fingerprint, answer), to: &buffer)
        case .refused(let status): writeValue(.unknown(claim.fingerprint, refusedResend: status), to: &buffer)
        case .unknown, .released: writeValue(.unknown(claim.fingerprint), to: &buffer)
        }
        buffer.writeRESPInteger(claim.retention.inMilliseconds)
    }

    private static func writeScript(
        _ script: RedisScript, arguments: Int, withSource: Bool, to buffer: inout ByteBuffer
    ) {
        buffer.writeRESPArrayHead(4 + arguments)
        buffer.writeRESPString(withSource ? "EVAL" : "EVALSHA")
        buffer.writeRESPString(withSource ? script.source : script.sha1)
        buffer.writeStaticString("$1\r\n1\r\n")
    }

    private static func writeKey(_ scope: IdempotencyScope, _ keys: RecordKeys, to buffer: inout ByteBuffer) {
        buffer.writeRESPStringHead(keys.lengthOfRecordKey)
        keys.writeRecordKey(scope, to: &buffer)
        buffer.writeStaticString("\r\n")
    }

    private static func write(_ fingerprint: RequestFingerprint, to buffer: inout ByteBuffer) {
        buffer.writeStaticString("$16\r\n")
        buffer.write(fingerprint)
        buffer.writeStaticString("\r\n")
    }

    private static func writeValue(_ value: RecordValue, to buffer: inout ByteBuffer) {
        var bytes = ByteBuffer()
        value.write(to: &bytes)
        buffer.writeRESPStringHead(bytes.readableBytes)
        buffer.writeImmutableBuffer(bytes)
        buffer.writeStaticString("\r\n")
    }
}
