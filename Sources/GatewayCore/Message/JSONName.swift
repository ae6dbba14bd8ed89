/// The name of a member in JSON that has been scanned.
struct JSONName {
    /// Between the quotes.
    let range: Range<Int>
    private let isEscaped: Bool

    /// - Parameter start: the opening quote.
    init(_ bytes: Span<UInt8>, at start: Int) {
        var end = bytes.firstQuoteOrBackslash(from: start + 1)
        var isEscaped = false
        while end < bytes.count && bytes[end] == UInt8(ascii: "\\") {
            isEscaped = true
            end = bytes.firstQuoteOrBackslash(from: min(end + 2, bytes.count))
        }
        range = start + 1..<end
        self.isEscaped = isEscaped
    }

    func isEqual(to name: StaticString, in bytes: Span<UInt8>) -> Bool {
        guard isEscaped else { return bytes.isEqual(range, to: name) }
        return isEqual(toText: "\(name)", in: bytes)
    }

    /// Of another name than that of the other one: a literal would be taken for a `String`, which takes ten times as long.
    func isEqual(toText name: String, in bytes: Span<UInt8>) -> Bool {
        if isEscaped {
            var unescaped: [UInt8] = []
            CanonicalMessage.appendUnescaped(bytes, range, to: &unescaped)
            return unescaped.elementsEqual(name.utf8)
        }
        guard range.count == name.utf8.count else { return false }
        var index = range.lowerBound
        for byte in name.utf8 {
            guard bytes[index] == byte else { return false }
            index += 1
        }
        return true
    }
}
