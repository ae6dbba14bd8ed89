/// A head or a chunk that does not follow RFC 9112 to the letter, or that two readers could read in two ways.
///
/// The gateway answers 400 and closes: after such bytes nobody knows where the next message starts.
public struct FramingError: Error, Equatable {
    /// What is wrong and what is expected, for the peer.
    public var detail: String

    public init(_ detail: String) {
        self.detail = detail
    }
}

/// The grammar shared by request heads, response heads and trailers (RFC 9112 section 5, RFC 9110 section 5).
enum FieldLines {
    /// Finds the empty line that ends a head, looking only at bytes not looked at before.
    ///
    /// Returns the offset behind it, or nil when more bytes are needed. A line feed without its carriage return is
    /// refused here, so that a peer that uses them is told at once and not after a timeout.
    static func end(of bytes: Span<UInt8>, scanned: inout Int) throws(FramingError) -> Int? {
        var index = scanned
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\n") {
                guard index > 0 && bytes[index - 1] == UInt8(ascii: "\r") else {
                    throw FramingError("a line ends in a bare line feed; lines end in CR LF")
                }
                if index >= 3 && bytes[index - 2] == UInt8(ascii: "\n") {
                    scanned = index + 1
                    return index + 1
                }
            }
            index += 1
        }
        scanned = index
        return nil
    }

    /// The range of the line that starts at `start`, without its CR LF, and the start of the next one.
    static func line(
        of bytes: Span<UInt8>, from start: Int, limit: Int
    ) throws(FramingError) -> (line: Range<Int>, next: Int) {
        var index = start
        while index + 1 < limit {
            if bytes[index] == UInt8(ascii: "\r") {
                guard bytes[index + 1] == UInt8(ascii: "\n") else {
                    throw FramingError("a carriage return stands alone; lines end in CR LF")
                }
                return (start..<index, index + 2)
            }
            index += 1
        }
        throw FramingError("a line has no end")
    }

    /// Splits a field line into its name and its value without surrounding white space, and checks both.
    static func field(
        of bytes: Span<UInt8>, in line: Range<Int>
    ) throws(FramingError) -> (name: Range<Int>, value: Range<Int>) {
        var colon = line.lowerBound
        while colon < line.upperBound && isTokenCharacter(bytes[colon]) { colon += 1 }
        guard colon < line.upperBound && bytes[colon] == UInt8(ascii: ":") && colon > line.lowerBound else {
            if isBlank(bytes[line.lowerBound]) {
                throw FramingError("a field line starts with white space (obsolete line folding is not accepted)")
            }
            throw FramingError("a field line has no valid name followed at once by a colon")
        }
        let value = bytes.trimmed(colon + 1..<line.upperBound)
        for index in value where !isFieldValueCharacter(bytes[index]) {
            throw FramingError("the value of field `\(bytes.text(line.lowerBound..<colon))` holds a control character")
        }
        return (line.lowerBound..<colon, value)
    }

    /// RFC 9110 section 5.6.2, `tchar`.
    @inline(__always)
    static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "^"), UInt8(ascii: "`"),
            UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// RFC 9110 section 5.5: visible characters, space, tab and obs-text.
    @inline(__always)
    static func isFieldValueCharacter(_ byte: UInt8) -> Bool {
        (byte >= 0x20 && byte != 0x7F) || byte == UInt8(ascii: "\t")
    }
}
