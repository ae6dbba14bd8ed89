/// A head or a chunk that does not follow RFC 9112 to the letter, or that two readers could read in two ways.
///
/// The gateway answers 400 and closes: after such bytes nobody knows where the next message starts.
package struct FramingError: Error, Equatable {
    /// What is wrong and what is expected, for the peer.
    package var detail: String

    package init(_ detail: String) {
        self.detail = detail
    }
}

/// The grammar shared by request heads, response heads and trailers (RFC 9112 section 5, RFC 9110 section 5).
enum FieldLines {
    /// What is known of the end of a head.
    enum End: Equatable {
        /// More bytes are needed.
        case notYet
        /// The offset behind the empty line.
        case at(Int)
        /// It is not within the limit.
        case tooFar
    }

    /// Finds the empty line that ends a head, looking only at bytes not looked at before, and at none above the limit: what
    /// is found does not depend on how many bytes came at once.
    ///
    /// A line feed without its carriage return is refused here, so that a peer that uses them is told at once and not after
    /// a timeout.
    static func end(of bytes: Span<UInt8>, scanned: inout Int, limit: Int) throws(FramingError) -> End {
        let visible = min(bytes.count, limit)
        while true {
            let index = bytes.first(UInt8(ascii: "\n"), in: min(scanned, visible)..<visible)
            guard index < visible else {
                scanned = index
                return bytes.count > limit ? .tooFar : .notYet
            }
            guard index > 0 && bytes[index - 1] == UInt8(ascii: "\r") else {
                throw FramingError("a line ends in a bare line feed; lines end in CR LF")
            }
            scanned = index + 1
            if index >= 3 && bytes[index - 2] == UInt8(ascii: "\n") { return .at(scanned) }
        }
    }

    /// The range of the line that starts at `start`, without its CR LF, and the start of the next one.
    static func line(
        of bytes: Span<UInt8>, from start: Int, limit: Int
    ) throws(FramingError) -> (line: Range<Int>, next: Int) {
        let index = bytes.first(UInt8(ascii: "\r"), from: start)
        guard index + 1 < limit else { throw FramingError("a line has no end") }
        return (start..<index, try behindLineEnd(of: bytes, at: index))
    }

    /// One field line: its name, its value without surrounding white space, and the start of the next line.
    struct Field {
        var name: Range<Int>
        var value: Range<Int>
        var next: Int
    }

    /// The field line that starts at `start`, checked; nil if that line is the empty one that ends the section.
    static func field(of bytes: Span<UInt8>, from start: Int) throws(FramingError) -> Field? {
        if start < bytes.count && bytes[start] == UInt8(ascii: "\r") {
            _ = try behindLineEnd(of: bytes, at: start)
            return nil
        }
        let name = try name(of: bytes, from: start)
        let end = endOfValue(of: bytes, from: name.upperBound + 1)
        guard end < bytes.count else { throw FramingError("a line has no end") }
        guard bytes[end] == UInt8(ascii: "\r") else {
            throw FramingError("the value of field `\(bytes.text(name))` holds a control character")
        }
        return Field(
            name: name, value: bytes.trimmed(name.upperBound + 1..<end), next: try behindLineEnd(of: bytes, at: end))
    }

    /// The name at the start of a field line; behind it stands a colon.
    private static func name(of bytes: Span<UInt8>, from start: Int) throws(FramingError) -> Range<Int> {
        let colon = bytes.endOfToken(from: start)
        guard colon < bytes.count && bytes[colon] == UInt8(ascii: ":") && colon > start else {
            if start < bytes.count && isBlank(bytes[start]) {
                throw FramingError("a field line starts with white space (obsolete line folding is not accepted)")
            }
            throw FramingError("a field line has no valid name followed at once by a colon")
        }
        return start..<colon
    }

    /// The first place from `start` on that holds no visible character, space, tab or obs-text (RFC 9110 section 5.5).
    static func endOfValue(of bytes: Span<UInt8>, from start: Int) -> Int {
        var end = bytes.firstControlCharacter(from: start)
        while end < bytes.count && bytes[end] == UInt8(ascii: "\t") {
            end = bytes.firstControlCharacter(from: end + 1)
        }
        return end
    }

    /// Checks a field line that is not needed, given without its CR LF.
    static func check(_ line: Span<UInt8>) throws(FramingError) {
        let name = try name(of: line, from: 0)
        guard endOfValue(of: line, from: name.upperBound + 1) == line.count else {
            throw FramingError("the value of field `\(line.text(name))` holds a control character")
        }
    }

    private static func behindLineEnd(of bytes: Span<UInt8>, at carriageReturn: Int) throws(FramingError) -> Int {
        guard carriageReturn + 1 < bytes.count else { throw FramingError("a line has no end") }
        guard bytes[carriageReturn + 1] == UInt8(ascii: "\n") else {
            throw FramingError("a carriage return stands alone; lines end in CR LF")
        }
        return carriageReturn + 2
    }
}
