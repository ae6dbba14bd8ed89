/// Checks the content of one message against the rules of the API, in one pass over its bytes.
///
/// Members it does not know are left to Amazon, and so are values in `data` that are not strings: whether Amazon
/// refuses them is not known, and a gateway that refused what Amazon accepts would lose messages.
package enum MessageValidator {
    /// What stands where in a valid message.
    package struct Layout: Equatable {
        /// Of `data`, as compact JSON.
        var dataBytes = 0
        /// Where `data` stands.
        var data = 0..<0
        /// `expiresAfterSeconds`; nil: Amazon's default.
        var expirySeconds: Int?
        package var expirySecondsOrDefault: Int { expirySeconds ?? MessageRules.defaultExpirySeconds }
    }

    @discardableResult
    package static func validate(_ bytes: Span<UInt8>) throws(MessageError) -> Layout {
        var scanner = JSONScanner()
        var index = JSONScanner.skipWhitespace(bytes, from: 0)
        guard index < bytes.count else { throw .notJSON(offset: index, expected: "a JSON object") }
        guard bytes[index] == UInt8(ascii: "{") else {
            // Tell apart what is no JSON at all from JSON of another type.
            _ = try scanner.value(bytes, from: index, depth: 0)
            throw .notAnObject
        }
        var hasData = false
        var layout = Layout()
        index = JSONScanner.skipWhitespace(bytes, from: index + 1)
        var isAtEnd = index < bytes.count && bytes[index] == UInt8(ascii: "}")
        if isAtEnd { index += 1 }
        while !isAtEnd {
            let nameStart = index
            index = try scanner.memberName(bytes, from: index)
            switch JSONMemberName(bytes, at: nameStart) {
            case .data:
                guard !hasData else { throw .memberRepeated("data") }
                hasData = true
                let start = index
                index = try data(bytes, from: start, &scanner)
                layout.data = start..<index
                layout.dataBytes = scanner.compactBytes
            case .expiresAfterSeconds:
                guard layout.expirySeconds == nil else { throw .memberRepeated("expiresAfterSeconds") }
                (index, layout.expirySeconds) = try expiry(bytes, from: index, &scanner)
            case .other:
                index = try scanner.value(bytes, from: index, depth: 1)
            }
            index = JSONScanner.skipWhitespace(bytes, from: index)
            guard index < bytes.count, bytes[index] == UInt8(ascii: "}") || bytes[index] == UInt8(ascii: ",") else {
                throw .notJSON(offset: index, expected: "`,` or `}`")
            }
            isAtEnd = bytes[index] == UInt8(ascii: "}")
            index = isAtEnd ? index + 1 : JSONScanner.skipWhitespace(bytes, from: index + 1)
        }
        index = JSONScanner.skipWhitespace(bytes, from: index)
        guard index == bytes.count else { throw .notJSON(offset: index, expected: "the end of the content") }
        guard hasData else { throw .dataMissing }
        return layout
    }

    private static func data(
        _ bytes: Span<UInt8>, from start: Int, _ scanner: inout JSONScanner
    ) throws(MessageError) -> Int {
        guard start < bytes.count && bytes[start] == UInt8(ascii: "{") else {
            _ = try scanner.value(bytes, from: start, depth: 1)
            throw .dataNotAnObject
        }
        scanner.resetCompactBytes()
        let end = try scanner.object(bytes, from: start, depth: 1)
        guard scanner.compactBytes <= MessageRules.dataLimitBytes else {
            throw .dataTooLarge(bytes: scanner.compactBytes)
        }
        return end
    }

    private static func expiry(
        _ bytes: Span<UInt8>, from start: Int, _ scanner: inout JSONScanner
    ) throws(MessageError) -> (end: Int, seconds: Int) {
        guard start < bytes.count,
            bytes[start] == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[start])
        else {
            _ = try scanner.value(bytes, from: start, depth: 1)
            throw .expiryNotAnInteger
        }
        let (end, isInteger) = try scanner.number(bytes, from: start)
        guard isInteger else { throw .expiryNotAnInteger }
        guard let seconds = bytes.decimal(start..<end), MessageRules.expirySeconds.contains(seconds) else {
            throw .expiryOutOfRange(String(bytes.text(start..<end).prefix(24)))
        }
        return (end, seconds)
    }
}

/// The members of a message that have rules.
private enum JSONMemberName {
    case data, expiresAfterSeconds, other

    /// - Parameter start: the opening quote of a name that has been scanned.
    init(_ bytes: Span<UInt8>, at start: Int) {
        let name = JSONName(bytes, at: start)
        if name.isEqual(to: "data", in: bytes) {
            self = .data
        } else {
            self = name.isEqual(to: "expiresAfterSeconds", in: bytes) ? .expiresAfterSeconds : .other
        }
    }
}
