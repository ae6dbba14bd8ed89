/// Reads the members of a small JSON object whose values are strings.
enum JSONMembers {
    /// Members with other values are left out.
    ///
    /// - Throws: for what is no JSON object.
    static func strings(of bytes: Span<UInt8>) throws(MessageError) -> [(name: String, value: String)] {
        var scanner = JSONScanner()
        var index = JSONScanner.skipWhitespace(bytes, from: 0)
        guard index < bytes.count, bytes[index] == UInt8(ascii: "{") else { throw .notAnObject }
        let end = try scanner.object(bytes, from: index, depth: 0)
        guard JSONScanner.skipWhitespace(bytes, from: end) == bytes.count else {
            throw .notJSON(offset: end, expected: "the end")
        }
        // From here on it is known to be well-formed.
        var members: [(name: String, value: String)] = []
        index = JSONScanner.skipWhitespace(bytes, from: index + 1)
        while bytes[index] != UInt8(ascii: "}") {
            let name = try string(bytes, at: index)
            index = try scanner.memberName(bytes, from: index)
            if bytes[index] == UInt8(ascii: "\"") { members.append((name, try string(bytes, at: index))) }
            index = JSONScanner.skipWhitespace(bytes, from: try scanner.value(bytes, from: index, depth: 1))
            if bytes[index] == UInt8(ascii: ",") { index = JSONScanner.skipWhitespace(bytes, from: index + 1) }
        }
        return members
    }

    /// The string that starts with the quote at `start`, escapes undone.
    private static func string(_ bytes: Span<UInt8>, at start: Int) throws(MessageError) -> String {
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
