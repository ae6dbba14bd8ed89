import NIOCore

/// One message in a form that does not depend on how a client happened to write it: members sorted by name, escapes
/// undone, everything preceded by its length so that no two messages share a form.
///
/// A client that serialises its map again for a retry must be recognised; one that changes a character must not be.
/// The buffers are kept between messages, so that making the form allocates nothing once they have grown.
struct CanonicalMessage {
    private(set) var form = ByteBuffer()
    private var writer = ValueWriter()

    /// - Parameters:
    ///   - content: JSON text that `MessageValidator` has accepted.
    ///   - key, user: what else makes the message the same; they come before the content.
    mutating func make(of content: Span<UInt8>, key: ByteBuffer? = nil, user: ByteBuffer? = nil) {
        Self.make(&form, &writer, content, key, user)
    }

    private static func make(
        _ form: inout ByteBuffer, _ writer: inout ValueWriter, _ content: Span<UInt8>, _ key: ByteBuffer?,
        _ user: ByteBuffer?
    ) {
        let limit = ValueWriter.limit(content) + 8 + (key?.readableBytes ?? 0) + (user?.readableBytes ?? 0)
        form.clear()
        form.writePieces(limit: limit) { pieces in
            if let key { write(key, to: &pieces) }
            if let user { write(user, to: &pieces) }
            _ = writer.write(content, at: JSONScanner.skipWhitespace(content, from: 0), to: &pieces)
        }
    }

    private static func write(_ bytes: ByteBuffer, to pieces: inout PieceWriter) {
        pieces.write(UInt32(truncatingIfNeeded: bytes.readableBytes))
        pieces.write(bytes)
    }

    /// Appends the characters of a string, given without its quotes, with escapes undone.
    static func appendUnescaped(_ bytes: Span<UInt8>, _ range: Range<Int>, to output: inout [UInt8]) {
        var index = range.lowerBound
        while index < range.upperBound {
            if bytes[index] == UInt8(ascii: "\\"), let escape = try? JSONEscape(bytes, at: index) {
                escape.append(to: &output)
                index += escape.length
            }
            let end = min(bytes.first(UInt8(ascii: "\\"), from: index), range.upperBound)
            bytes.extracting(index..<end).withUnsafeBufferPointer { output.append(contentsOf: $0) }
            index = end
        }
    }
}

/// Writes JSON values, and keeps what it needs for that.
private struct ValueWriter {
    private var members: [Member] = []
    private var names: [UInt8] = []
    /// A string without its escapes.
    private var unescaped: [UInt8] = []

    private static let insertionLimit = 16

    private struct Member {
        /// Of the unescaped name, in `names`.
        var name: Range<Int>
        /// Where the value starts, in the message.
        var value: Int
    }

    private enum Tag: UInt8 {
        case object, array, string, scalar
    }

    /// In bytes, of the form of `content`. What grows most is a list of single digits: two bytes for each, comma included,
    /// become a tag, a length and the digit. One value has no comma.
    static func limit(_ content: Span<UInt8>) -> Int { 3 * content.count + 3 }

    private static func write(
        _ tag: Tag, _ bytes: Span<UInt8>, _ range: Range<Int>, to pieces: inout PieceWriter
    ) {
        pieces.write(tag.rawValue)
        write(bytes, range, to: &pieces)
    }

    private static func write(_ bytes: Span<UInt8>, _ range: Range<Int>, to pieces: inout PieceWriter) {
        pieces.write(UInt32(truncatingIfNeeded: range.count))
        pieces.write(bytes, range)
    }

    /// Writes the value at `start`.
    ///
    /// - Returns: the offset behind it.
    mutating func write(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int {
        switch bytes[start] {
        case UInt8(ascii: "{"): return writeObject(bytes, at: start, to: &pieces)
        case UInt8(ascii: "["): return writeArray(bytes, at: start, to: &pieces)
        case UInt8(ascii: "\""):
            let (end, isPlain) = Self.stringEnd(bytes, at: start)
            if isPlain {
                Self.write(.string, bytes, start + 1..<end - 1, to: &pieces)
            } else {
                unescaped.removeAll(keepingCapacity: true)
                CanonicalMessage.appendUnescaped(bytes, start + 1..<end - 1, to: &unescaped)
                unescaped.withUnsafeBufferPointer { Self.write(.string, $0.span, 0..<$0.count, to: &pieces) }
            }
            return end
        default:
            var end = start
            while end < bytes.count && !Self.endsScalar(bytes[end]) { end += 1 }
            Self.write(.scalar, bytes, start..<end, to: &pieces)
            return end
        }
    }

    private mutating func writeObject(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int {
        let firstMember = members.count
        let firstName = names.count
        var index = JSONScanner.skipWhitespace(bytes, from: start + 1)
        while bytes[index] != UInt8(ascii: "}") {
            let (nameEnd, isPlain) = Self.stringEnd(bytes, at: index)
            let nameStart = names.count
            if isPlain {
                bytes.extracting(index + 1..<nameEnd - 1).withUnsafeBufferPointer { names.append(contentsOf: $0) }
            } else {
                CanonicalMessage.appendUnescaped(bytes, index + 1..<nameEnd - 1, to: &names)
            }
            let colon = JSONScanner.skipWhitespace(bytes, from: nameEnd)
            let value = JSONScanner.skipWhitespace(bytes, from: colon + 1)
            members.append(Member(name: nameStart..<names.count, value: value))
            index = JSONScanner.skipWhitespace(bytes, from: Self.valueEnd(bytes, at: value))
            if bytes[index] == UInt8(ascii: ",") { index = JSONScanner.skipWhitespace(bytes, from: index + 1) }
        }
        sortMembers(from: firstMember)
        pieces.write(Tag.object.rawValue)
        pieces.write(UInt32(truncatingIfNeeded: members.count - firstMember))
        for number in firstMember..<members.count {
            let member = members[number]
            names.withUnsafeBufferPointer { Self.write($0.span, member.name, to: &pieces) }
            _ = write(bytes, at: member.value, to: &pieces)
        }
        members.removeSubrange(firstMember...)
        names.removeSubrange(firstName...)
        return index + 1
    }

    private mutating func writeArray(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int {
        pieces.write(Tag.array.rawValue)
        let countAt = pieces.count
        pieces.write(0 as UInt32)
        var count = 0
        var index = JSONScanner.skipWhitespace(bytes, from: start + 1)
        while bytes[index] != UInt8(ascii: "]") {
            index = JSONScanner.skipWhitespace(bytes, from: write(bytes, at: index, to: &pieces))
            if bytes[index] == UInt8(ascii: ",") { index = JSONScanner.skipWhitespace(bytes, from: index + 1) }
            count += 1
        }
        pieces.set(UInt32(truncatingIfNeeded: count), at: countAt)
        return index + 1
    }

    /// By name; members of one name keep their order, so that repeated names make a message of their own.
    private mutating func sortMembers(from first: Int) {
        let count = members.count - first
        guard count > 1 else { return }
        guard count <= Self.insertionLimit else {
            let names = names
            return members[first...].sort { Self.precedes($0, $1, names.span) }
        }
        // Few are sorted in place: the library's sort asks for memory, and nearly every message has few.
        for end in first + 1..<members.count {
            var place = end
            while place > first && Self.precedes(members[place], members[place - 1], names.span) {
                members.swapAt(place, place - 1)
                place -= 1
            }
        }
    }

    private static func precedes(_ one: Member, _ other: Member, _ names: Span<UInt8>) -> Bool {
        for (left, right) in zip(one.name, other.name) where names[left] != names[right] {
            return names[left] < names[right]
        }
        return one.name.count == other.name.count ? one.value < other.value : one.name.count < other.name.count
    }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: " "), UInt8(ascii: "\n"),
            UInt8(ascii: "\r"), UInt8(ascii: "\t"):
            true
        default: false
        }
    }

    /// Behind the closing quote, and whether the string is without escapes.
    private static func stringEnd(_ bytes: Span<UInt8>, at start: Int) -> (end: Int, isPlain: Bool) {
        var index = bytes.firstQuoteOrBackslash(from: start + 1)
        let isPlain = bytes[index] != UInt8(ascii: "\\")
        while bytes[index] == UInt8(ascii: "\\") { index = bytes.firstQuoteOrBackslash(from: index + 2) }
        return (index + 1, isPlain)
    }

    private static func valueEnd(_ bytes: Span<UInt8>, at start: Int) -> Int {
        var index = start
        var depth = 0
        repeat {
            switch bytes[index] {
            case UInt8(ascii: "\""): index = stringEnd(bytes, at: index).end
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                index += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                index += 1
            default:
                if depth > 0 {
                    index += 1
                } else {
                    while index < bytes.count && !endsScalar(bytes[index]) { index += 1 }
                }
            }
        } while depth > 0
        return index
    }
}
