/// Walks over JSON text once, strictly by RFC 8259, without building anything.
///
/// Each method takes the offset at which a value starts and returns the offset behind it. `compactBytes` counts what
/// the value takes as compact JSON: no white space, and every string in its shortest spelling, so that a client that
/// writes `\u00e9` is not told that its message is larger than it is.
struct JSONScanner {
    private(set) var compactBytes = 0

    mutating func resetCompactBytes() { compactBytes = 0 }

    static func skipWhitespace(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): index += 1
            default: return index
            }
        }
        return index
    }

    mutating func value(_ bytes: Span<UInt8>, from start: Int, depth: Int) throws(MessageError) -> Int {
        guard start < bytes.count else { throw .notJSON(offset: start, expected: "a value") }
        switch bytes[start] {
        case UInt8(ascii: "\""): return try string(bytes, from: start)
        case UInt8(ascii: "{"): return try object(bytes, from: start, depth: depth)
        case UInt8(ascii: "["): return try array(bytes, from: start, depth: depth)
        case UInt8(ascii: "t"): return try literal("true", bytes, from: start)
        case UInt8(ascii: "f"): return try literal("false", bytes, from: start)
        case UInt8(ascii: "n"): return try literal("null", bytes, from: start)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number(bytes, from: start).end
        default: throw .notJSON(offset: start, expected: "a value")
        }
    }

    mutating func object(_ bytes: Span<UInt8>, from start: Int, depth: Int) throws(MessageError) -> Int {
        try Self.check(depth)
        compactBytes += 2
        var index = Self.skipWhitespace(bytes, from: start + 1)
        if index < bytes.count && bytes[index] == UInt8(ascii: "}") { return index + 1 }
        while true {
            index = try memberName(bytes, from: index)
            index = try value(bytes, from: index, depth: depth + 1)
            index = Self.skipWhitespace(bytes, from: index)
            guard index < bytes.count else { throw .notJSON(offset: index, expected: "`,` or `}`") }
            if bytes[index] == UInt8(ascii: "}") { return index + 1 }
            guard bytes[index] == UInt8(ascii: ",") else { throw .notJSON(offset: index, expected: "`,` or `}`") }
            compactBytes += 1
            index = Self.skipWhitespace(bytes, from: index + 1)
        }
    }

    /// The name of a member, its colon, and the white space behind that.
    mutating func memberName(_ bytes: Span<UInt8>, from start: Int) throws(MessageError) -> Int {
        guard start < bytes.count && bytes[start] == UInt8(ascii: "\"") else {
            throw .notJSON(offset: start, expected: "a member's name in double quotes")
        }
        let index = Self.skipWhitespace(bytes, from: try string(bytes, from: start))
        guard index < bytes.count && bytes[index] == UInt8(ascii: ":") else {
            throw .notJSON(offset: index, expected: "`:`")
        }
        compactBytes += 1
        return Self.skipWhitespace(bytes, from: index + 1)
    }

    private mutating func array(_ bytes: Span<UInt8>, from start: Int, depth: Int) throws(MessageError) -> Int {
        try Self.check(depth)
        compactBytes += 2
        var index = Self.skipWhitespace(bytes, from: start + 1)
        if index < bytes.count && bytes[index] == UInt8(ascii: "]") { return index + 1 }
        while true {
            index = Self.skipWhitespace(bytes, from: try value(bytes, from: index, depth: depth + 1))
            guard index < bytes.count else { throw .notJSON(offset: index, expected: "`,` or `]`") }
            if bytes[index] == UInt8(ascii: "]") { return index + 1 }
            guard bytes[index] == UInt8(ascii: ",") else { throw .notJSON(offset: index, expected: "`,` or `]`") }
            compactBytes += 1
            index = Self.skipWhitespace(bytes, from: index + 1)
        }
    }

    private static func check(_ depth: Int) throws(MessageError) {
        guard depth < MessageRules.maximumDepth else { throw .nestedTooDeeply }
    }

    private mutating func literal(
        _ text: StaticString, _ bytes: Span<UInt8>, from start: Int
    ) throws(MessageError) -> Int {
        let end = start + text.utf8CodeUnitCount
        guard end <= bytes.count && bytes.isEqual(start..<end, to: text) else {
            throw .notJSON(offset: start, expected: "`\(text)`")
        }
        compactBytes += text.utf8CodeUnitCount
        return end
    }

    /// RFC 8259 section 6. `isInteger`: neither fraction nor exponent.
    mutating func number(_ bytes: Span<UInt8>, from start: Int) throws(MessageError) -> (end: Int, isInteger: Bool) {
        var index = start
        var isInteger = true
        if bytes[index] == UInt8(ascii: "-") { index += 1 }
        if index < bytes.count && bytes[index] == UInt8(ascii: "0") {
            index += 1
        } else {
            index = try Self.digits(bytes, from: index)
        }
        if index < bytes.count && bytes[index] == UInt8(ascii: ".") {
            isInteger = false
            index = try Self.digits(bytes, from: index + 1)
        }
        if index < bytes.count && bytes[index] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            index += 1
            if index < bytes.count && (bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-")) {
                index += 1
            }
            index = try Self.digits(bytes, from: index)
        }
        compactBytes += index - start
        return (index, isInteger)
    }

    private static func digits(_ bytes: Span<UInt8>, from start: Int) throws(MessageError) -> Int {
        var index = start
        while index < bytes.count && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) { index += 1 }
        guard index > start else { throw .notJSON(offset: index, expected: "a digit") }
        return index
    }

    /// RFC 8259 section 7, and UTF-8 (RFC 3629) without overlong forms and surrogates.
    mutating func string(_ bytes: Span<UInt8>, from start: Int) throws(MessageError) -> Int {
        var index = start + 1
        var saved = 0
        while true {
            index = bytes.endOfPlainJSON(from: index)
            guard index < bytes.count else { break }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                compactBytes += index + 1 - start - saved
                return index + 1
            }
            if byte == UInt8(ascii: "\\") {
                let escape = try JSONEscape(bytes, at: index)
                saved += escape.length - escape.shortestBytes
                index += escape.length
            } else if byte < 0x20 {
                throw .notJSON(offset: index, expected: "a control character to be escaped")
            } else {
                index += try Self.multiByteCharacter(bytes, at: index)
            }
        }
        throw .notJSON(offset: index, expected: "the closing quote of a string")
    }

    /// The length of a well-formed character of more than one byte (RFC 3629 section 4).
    private static func multiByteCharacter(_ bytes: Span<UInt8>, at index: Int) throws(MessageError) -> Int {
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch bytes[index] {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: throw .notJSON(offset: index, expected: "UTF-8")
        }
        guard index + length <= bytes.count, second.contains(bytes[index + 1]) else {
            throw .notJSON(offset: index, expected: "UTF-8")
        }
        for offset in 2..<max(2, length) where !(0x80...0xBF).contains(bytes[index + offset]) {
            throw .notJSON(offset: index, expected: "UTF-8")
        }
        return length
    }
}
