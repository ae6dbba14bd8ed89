/// What the `Connection` fields of one head say of the connection's end (RFC 9112 section 9.3): a list each, and all lists together
/// are one.
struct ConnectionOptions {
    private(set) var hasClose = false
    private(set) var hasKeepAlive = false

    /// Reads one field value.
    mutating func read(_ value: Range<Int>, of bytes: Span<UInt8>) {
        var start = value.lowerBound
        while start < value.upperBound {
            let end = bytes.first(UInt8(ascii: ","), in: start..<value.upperBound)
            let option = bytes.trimmed(start..<end)
            if bytes.isEqualIgnoringCase(option, to: "close") { hasClose = true }
            if bytes.isEqualIgnoringCase(option, to: "keep-alive") { hasKeepAlive = true }
            start = end + 1
        }
    }
}
