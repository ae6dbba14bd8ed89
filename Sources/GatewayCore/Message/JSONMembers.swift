import NIOCore

/// Reads the members of a small JSON object.
package enum JSONMembers {
    /// The members in their order, each with where its value stands.
    ///
    /// - Throws: for what is no JSON object.
    package static func all(of bytes: Span<UInt8>) throws(MessageError) -> [(name: String, value: Range<Int>)] {
        var scanner = JSONScanner()
        var index = JSONScanner.skipWhitespace(bytes, from: 0)
        guard index < bytes.count, bytes[index] == UInt8(ascii: "{") else { throw .notAnObject }
        let end = try scanner.object(bytes, from: index, depth: 0)
        guard JSONScanner.skipWhitespace(bytes, from: end) == bytes.count else {
            throw .notJSON(offset: end, expected: "the end")
        }
        // From here on it is known to be well-formed.
        var members: [(name: String, value: Range<Int>)] = []
        index = JSONScanner.skipWhitespace(bytes, from: index + 1)
        while bytes[index] != UInt8(ascii: "}") {
            let name = try text(bytes, at: index)
            let start = try scanner.memberName(bytes, from: index)
            let end = try scanner.value(bytes, from: start, depth: 1)
            members.append((name, start..<end))
            index = JSONScanner.skipWhitespace(bytes, from: end)
            if bytes[index] == UInt8(ascii: ",") { index = JSONScanner.skipWhitespace(bytes, from: index + 1) }
        }
        return members
    }

    /// Whether an object has a member of this name.
    ///
    /// - Parameter object: of JSON that has been scanned.
    static func has(_ name: String, in bytes: Span<UInt8>, _ object: Range<Int>) throws(MessageError) -> Bool {
        var scanner = JSONScanner()
        var index = JSONScanner.skipWhitespace(bytes, from: object.lowerBound + 1)
        while index < object.upperBound, bytes[index] != UInt8(ascii: "}") {
            if JSONName(bytes, at: index).isEqual(toText: name, in: bytes) { return true }
            let start = try scanner.memberName(bytes, from: index)
            index = JSONScanner.skipWhitespace(bytes, from: try scanner.value(bytes, from: start, depth: 2))
            if index < object.upperBound, bytes[index] == UInt8(ascii: ",") {
                index = JSONScanner.skipWhitespace(bytes, from: index + 1)
            }
        }
        return false
    }

    /// A form of a JSON object that does not depend on how it happens to be written: the order of members, white space, escapes.
    ///
    /// - Throws: for what is no JSON object.
    package static func canonicalForm(of bytes: Span<UInt8>) throws(MessageError) -> [UInt8] {
        _ = try all(of: bytes)
        var message = CanonicalMessage()
        message.make(of: bytes)
        return Array(buffer: message.form)
    }

    /// The string that a value is, escapes undone; nil for a value that is none.
    package static func string(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(MessageError) -> String? {
        guard bytes[value.lowerBound] == UInt8(ascii: "\"") else { return nil }
        return try text(bytes, at: value.lowerBound)
    }

    /// The strings of an array, escapes undone; nil for a value that is no array of strings.
    ///
    /// - Parameter value: of JSON that has been scanned.
    package static func strings(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(MessageError) -> [String]? {
        guard bytes[value.lowerBound] == UInt8(ascii: "[") else { return nil }
        var (scanner, strings) = (JSONScanner(), [String]())
        var index = JSONScanner.skipWhitespace(bytes, from: value.lowerBound + 1)
        while index < value.upperBound, bytes[index] != UInt8(ascii: "]") {
            let end = try scanner.value(bytes, from: index, depth: 1)
            guard let string = try string(bytes, index..<end) else { return nil }
            strings.append(string)
            index = JSONScanner.skipWhitespace(bytes, from: end)
            if index < value.upperBound, bytes[index] == UInt8(ascii: ",") {
                index = JSONScanner.skipWhitespace(bytes, from: index + 1)
            }
        }
        return strings
    }

    /// Where the value at a path of members stands; nil where there is none, or where a member on the way is no object.
    ///
    /// - Throws: for what is no JSON object, and for a member that is there twice.
    package static func value(at path: [String], in bytes: Span<UInt8>) throws(MessageError) -> Range<Int>? {
        var members = try all(of: bytes)
        var place = 0..<bytes.count
        for (depth, name) in path.enumerated() {
            if depth > 0 {
                guard bytes[place.lowerBound] == UInt8(ascii: "{") else { return nil }
                members = try all(of: bytes.extracting(place))
            }
            let values = members.filter { $0.name == name }
            guard let value = values.first?.value else { return nil }
            guard values.count == 1 else { throw .memberRepeated(name) }
            place = place.lowerBound + value.lowerBound..<place.lowerBound + value.upperBound
        }
        return place
    }

    /// Members whose values are strings; others are left out.
    static func strings(of bytes: Span<UInt8>) throws(MessageError) -> [(name: String, value: String)] {
        var strings: [(name: String, value: String)] = []
        for (name, value) in try all(of: bytes) {
            if let text = try string(bytes, value) { strings.append((name, text)) }
        }
        return strings
    }

    /// The string that starts with the quote at `start`, escapes undone.
    private static func text(_ bytes: Span<UInt8>, at start: Int) throws(MessageError) -> String {
        var text: [UInt8] = []
        var index = start + 1
        while bytes[index] != UInt8(ascii: "\"") {
            if bytes[index] == UInt8(ascii: "\\") {
                let escape = try JSONEscape(bytes, at: index)
                escape.append(to: &text)
                index += escape.length
            } else {
                text.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
