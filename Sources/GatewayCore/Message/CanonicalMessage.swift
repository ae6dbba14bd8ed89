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
        let limit = ValueForm.limit(content) + 8 + (key?.readableBytes ?? 0) + (user?.readableBytes ?? 0)
        form.clear()
        form.writePieces(limit: limit) { pieces in
            if let key { write(key, to: &pieces) }
            if let user { write(user, to: &pieces) }
            let (start, written) = (JSONScanner.skipWhitespace(content, from: 0), pieces.count)
            guard SortedValues.write(content, at: start, to: &pieces) == nil else { return }
            pieces.goBack(to: written)
            _ = writer.write(content, at: start, to: &pieces)
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

/// How the form has values.
private enum ValueForm {
    enum Tag: UInt8 {
        case object, array, string, scalar
    }

    /// In bytes, of the form of `content`. What grows most is a list of single digits: two bytes for each, comma included,
    /// become a tag, a length and the digit. One value has no comma.
    static func limit(_ content: Span<UInt8>) -> Int { 3 * content.count + 3 }

    static func write(_ tag: Tag, _ bytes: Span<UInt8>, _ range: Range<Int>, to pieces: inout PieceWriter) {
        pieces.write(tag.rawValue)
        write(bytes, range, to: &pieces)
    }

    static func write(_ bytes: Span<UInt8>, _ range: Range<Int>, to pieces: inout PieceWriter) {
        pieces.write(UInt32(truncatingIfNeeded: range.count))
        pieces.write(bytes, range)
    }

    /// Writes what is neither a string nor has values of its own.
    ///
    /// - Returns: the offset behind it.
    static func writeScalar(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int {
        let end = scalarEnd(bytes, at: start)
        write(.scalar, bytes, start..<end, to: &pieces)
        return end
    }

    static func scalarEnd(_ bytes: Span<UInt8>, at start: Int) -> Int {
        var end = start
        while end < bytes.count && !endsScalar(bytes[end]) { end += 1 }
        return end
    }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: " "), UInt8(ascii: "\n"),
            UInt8(ascii: "\r"), UInt8(ascii: "\t"):
            true
        default: false
        }
    }

    /// Behind the value, and the comma and the white space behind that.
    static func next(_ bytes: Span<UInt8>, behind value: Int) -> Int {
        let index = JSONScanner.skipWhitespace(bytes, from: value)
        return bytes[index] == UInt8(ascii: ",") ? JSONScanner.skipWhitespace(bytes, from: index + 1) : index
    }
}

/// Writes JSON values that stand in the order of the form already and hold no escapes, as those of nearly every message do: in one pass
/// that keeps nothing.
private enum SortedValues {
    /// - Returns: the offset behind the value; nil for one that is not like that, of which a part has been written then.
    static func write(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int? {
        switch bytes[start] {
        case UInt8(ascii: "{"): return writeObject(bytes, at: start, to: &pieces)
        case UInt8(ascii: "["): return writeArray(bytes, at: start, to: &pieces)
        case UInt8(ascii: "\""):
            guard let string = string(bytes, at: start) else { return nil }
            ValueForm.write(.string, bytes, string, to: &pieces)
            return string.upperBound + 1
        default: return ValueForm.writeScalar(bytes, at: start, to: &pieces)
        }
    }

    private static func writeObject(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int? {
        pieces.write(ValueForm.Tag.object.rawValue)
        let countAt = pieces.count
        pieces.write(0 as UInt32)
        var (count, last): (UInt32, Range<Int>) = (0, start..<start)
        var index = JSONScanner.skipWhitespace(bytes, from: start + 1)
        while bytes[index] != UInt8(ascii: "}") {
            guard let name = string(bytes, at: index), !precedes(name, last, bytes) else { return nil }
            ValueForm.write(bytes, name, to: &pieces)
            let colon = JSONScanner.skipWhitespace(bytes, from: name.upperBound + 1)
            let value = JSONScanner.skipWhitespace(bytes, from: colon + 1)
            guard let end = write(bytes, at: value, to: &pieces) else { return nil }
            index = ValueForm.next(bytes, behind: end)
            (count, last) = (count &+ 1, name)
        }
        pieces.set(count, at: countAt)
        return index + 1
    }

    private static func writeArray(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int? {
        pieces.write(ValueForm.Tag.array.rawValue)
        let countAt = pieces.count
        pieces.write(0 as UInt32)
        var count: UInt32 = 0
        var index = JSONScanner.skipWhitespace(bytes, from: start + 1)
        while bytes[index] != UInt8(ascii: "]") {
            guard let end = write(bytes, at: index, to: &pieces) else { return nil }
            index = ValueForm.next(bytes, behind: end)
            count &+= 1
        }
        pieces.set(count, at: countAt)
        return index + 1
    }

    /// Between its quotes; nil for one with escapes.
    private static func string(_ bytes: Span<UInt8>, at start: Int) -> Range<Int>? {
        let end = bytes.firstQuoteOrBackslash(from: start + 1)
        return bytes[end] == UInt8(ascii: "\"") ? start + 1..<end : nil
    }

    /// Members of one name keep their order.
    private static func precedes(_ one: Range<Int>, _ other: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
        var (left, right) = (one.lowerBound, other.lowerBound)
        while left < one.upperBound, right < other.upperBound {
            if bytes[left] != bytes[right] { return bytes[left] < bytes[right] }
            (left, right) = (left &+ 1, right &+ 1)
        }
        return one.count < other.count
    }
}

/// Writes JSON values of any kind, and keeps what it needs for that.
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
                ValueForm.write(.string, bytes, start + 1..<end - 1, to: &pieces)
            } else {
                unescaped.removeAll(keepingCapacity: true)
                CanonicalMessage.appendUnescaped(bytes, start + 1..<end - 1, to: &unescaped)
                unescaped.withUnsafeBufferPointer { ValueForm.write(.string, $0.span, 0..<$0.count, to: &pieces) }
            }
            return end
        default: return ValueForm.writeScalar(bytes, at: start, to: &pieces)
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
            index = ValueForm.next(bytes, behind: Self.valueEnd(bytes, at: value))
        }
        sortMembers(from: firstMember)
        pieces.write(ValueForm.Tag.object.rawValue)
        pieces.write(UInt32(truncatingIfNeeded: members.count - firstMember))
        for number in firstMember..<members.count {
            let member = members[number]
            names.withUnsafeBufferPointer { ValueForm.write($0.span, member.name, to: &pieces) }
            _ = write(bytes, at: member.value, to: &pieces)
        }
        members.removeSubrange(firstMember...)
        names.removeSubrange(firstName...)
        return index + 1
    }

    private mutating func writeArray(_ bytes: Span<UInt8>, at start: Int, to pieces: inout PieceWriter) -> Int {
        pieces.write(ValueForm.Tag.array.rawValue)
        let countAt = pieces.count
        pieces.write(0 as UInt32)
        var count = 0
        var index = JSONScanner.skipWhitespace(bytes, from: start + 1)
        while bytes[index] != UInt8(ascii: "]") {
            index = ValueForm.next(bytes, behind: write(bytes, at: index, to: &pieces))
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
                index = depth > 0 ? index + 1 : ValueForm.scalarEnd(bytes, at: index)
            }
        } while depth > 0
        return index
    }
}
