/// Checks the content of one message against the rules of the API, in one pass over its bytes.
///
/// Members it does not know are left to Amazon, and so are values in `data` that are not strings: whether Amazon
/// refuses them is not known, and a gateway that refused what Amazon accepts would lose messages.
package enum MessageValidator {
    /// - Returns: how many bytes `data` has as compact JSON.
    @discardableResult
    package static func validate(_ bytes: Span<UInt8>) throws(MessageError) -> Int {
        var scanner = JSONScanner()
        var index = JSONScanner.skipWhitespace(bytes, from: 0)
        guard index < bytes.count else { throw .notJSON(offset: index, expected: "a JSON object") }
        guard bytes[index] == UInt8(ascii: "{") else {
            // Tell apart what is no JSON at all from JSON of another type.
            _ = try scanner.value(bytes, from: index, depth: 0)
            throw .notAnObject
        }
        var hasData = false
        var dataBytes = 0
        var hasExpiry = false
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
                index = try data(bytes, from: index, &scanner)
                dataBytes = scanner.compactBytes
            case .expiresAfterSeconds:
                guard !hasExpiry else { throw .memberRepeated("expiresAfterSeconds") }
                hasExpiry = true
                index = try expiry(bytes, from: index, &scanner)
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
        return dataBytes
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
    ) throws(MessageError) -> Int {
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
        return end
    }
}

/// The members of a message that have rules.
private enum JSONMemberName {
    case data, expiresAfterSeconds, other

    /// - Parameter start: the opening quote of a name that has been scanned.
    init(_ bytes: Span<UInt8>, at start: Int) {
        var end = start + 1
        var isEscaped = false
        while end < bytes.count && bytes[end] != UInt8(ascii: "\"") {
            if bytes[end] == UInt8(ascii: "\\") {
                isEscaped = true
                end += 1
            }
            end += 1
        }
        let name = start + 1..<min(end, bytes.count)
        if isEscaped {
            var unescaped: [UInt8] = []
            CanonicalMessage.appendUnescaped(bytes, name, to: &unescaped)
            self =
                unescaped.elementsEqual("data".utf8)
                ? .data : unescaped.elementsEqual("expiresAfterSeconds".utf8) ? .expiresAfterSeconds : .other
        } else if bytes.isEqual(name, to: "data") {
            self = .data
        } else {
            self = bytes.isEqual(name, to: "expiresAfterSeconds") ? .expiresAfterSeconds : .other
        }
    }
}
