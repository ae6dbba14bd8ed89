package import NIOCore

/// Names one request and its answer, in `X-Request-Id`, `instance` and the logs: what the client calls it, or a name of the
/// gateway's own.
package enum ExchangeID: Equatable, Sendable {
    /// 1 to `limitCharacters` visible ASCII characters.
    case given(ByteBuffer)
    case made(connection: UInt64, request: UInt32)

    static let limitCharacters = 128

    /// Nil for what may not come back.
    init?(_ value: Range<Int>, of head: ByteBuffer) {
        let bytes = head.readableBytesUInt8Span
        guard (1...Self.limitCharacters).contains(value.count),
            bytes.endOfVisible(from: value.lowerBound) >= value.upperBound,
            let text = head.getSlice(at: head.readerIndex + value.lowerBound, length: value.count)
        else { return nil }
        self = .given(text)
    }

    var isGiven: Bool {
        if case .given = self { true } else { false }
    }

    var text: String {
        var buffer = ByteBuffer()
        write(to: &buffer)
        return String(buffer: buffer)
    }

    func write(to buffer: inout ByteBuffer) {
        buffer.writePieces(limit: Self.limitCharacters) { write(to: &$0) }
    }

    /// At most `limitCharacters`.
    func write(to pieces: inout PieceWriter) {
        switch self {
        case .given(let text): pieces.write(text)
        case .made(let connection, let request):
            pieces.write(hexadecimal: connection)
            pieces.write(HexadecimalDigits.digits(of: request))
        }
    }

    /// As the value of a member of JSON.
    func writeJSON(to buffer: inout ByteBuffer) {
        switch self {
        case .given(let text): JSONText.writeString(String(buffer: text), to: &buffer)
        case .made:
            buffer.writeStaticString("\"")
            write(to: &buffer)
            buffer.writeStaticString("\"")
        }
    }

    /// As a URN (RFC 8141), for `instance` of a problem (RFC 9457 section 3.1.5).
    func writeURN(to buffer: inout ByteBuffer) {
        buffer.writeStaticString("urn:skillgate:request:")
        switch self {
        case .given(let text):
            let bytes = text.readableBytesUInt8Span
            PercentEncoding.encode(bytes, 0..<bytes.count, to: &buffer)
        case .made: write(to: &buffer)
        }
    }
}

/// Names the requests of one connection.
struct ExchangeIDs: Sendable {
    private let connection = UInt64.random(in: 0 ... .max)
    private var request: UInt32 = 0

    mutating func next() -> ExchangeID {
        request &+= 1
        return .made(connection: connection, request: request)
    }
}
