import NIOCore

/// Turns the fields of a request over HTTP/2 into the head that it would have over HTTP/1.1, so that one parser decides what a head says,
/// whichever protocol it came by.
enum HTTP2RequestHead {
    /// What a request must not be (RFC 9113 section 8.1.1): whoever sends it does not speak the protocol.
    struct Malformed: Error, Equatable {
        var detail: String
    }

    /// Of a request (RFC 9113 section 8.3.1).
    private struct PseudoFields {
        var method: Range<Int>?
        var scheme: Range<Int>?
        var path: Range<Int>?
        var authority: Range<Int>?

        mutating func take(_ field: HTTP2Fields.Field, of bytes: Span<UInt8>) throws(Malformed) {
            switch field.name.count {
            case 5 where bytes.isEqual(field.name, to: ":path") && path == nil: path = field.value
            case 7 where bytes.isEqual(field.name, to: ":method") && method == nil: method = field.value
            case 7 where bytes.isEqual(field.name, to: ":scheme") && scheme == nil: scheme = field.value
            case 10 where bytes.isEqual(field.name, to: ":authority") && authority == nil: authority = field.value
            default: throw Malformed(detail: "field `\(bytes.text(field.name))` is repeated, or is none of a request")
            }
        }
    }

    /// - Returns: a request line and field lines, up to the empty one.
    static func head(_ fields: HTTP2Fields) throws(Malformed) -> ByteBuffer {
        let bytes = fields.bytes.span
        var pseudo = PseudoFields()
        var count = 0
        while count < fields.fields.count, bytes.isPseudo(fields.fields[count].name) {
            try checkValue(fields.fields[count], of: bytes)
            try pseudo.take(fields.fields[count], of: bytes)
            count += 1
        }
        guard let method = pseudo.method, let path = pseudo.path, pseudo.scheme != nil else {
            throw Malformed(detail: "`:method`, `:scheme` or `:path` is missing")
        }
        // Else the request line could say something that no field does.
        guard bytes.isToken(method) else { throw Malformed(detail: "`:method` is no method") }
        guard !path.isEmpty, bytes[path.lowerBound] == UInt8(ascii: "/") || bytes.isEqual(path, to: "*") else {
            throw Malformed(detail: "`:path` does not start with `/`")
        }
        var head = ByteBuffer()
        head.reserveCapacity(fields.bytes.count + 4 * fields.fields.count + 32)
        head.write(bytes, method)
        head.writeStaticString(" ")
        head.write(bytes, path)
        head.writeStaticString(" HTTP/1.1\r\n")
        if let authority = pseudo.authority { head.writeLine("host", bytes, authority) }
        for field in fields.fields[count...] {
            try check(field, of: bytes)
            if let authority = pseudo.authority, bytes.isEqual(field.name, to: "host") {
                guard bytes.isSame(authority, field.value) else {
                    throw Malformed(detail: "`host` is another than `:authority`")
                }
                continue
            }
            head.write(bytes, field.name)
            head.writeStaticString(": ")
            head.write(bytes, field.value)
            head.writeStaticString("\r\n")
        }
        head.writeStaticString("\r\n")
        return head
    }

    /// Fields behind the content (RFC 9113 section 8.1). None of them is looked at.
    static func checkTrailers(_ fields: HTTP2Fields) throws(Malformed) {
        for field in fields.fields { try check(field, of: fields.bytes.span) }
    }

    /// A field that is no pseudo-header field (RFC 9113 sections 8.2.1 and 8.2.2).
    private static func check(_ field: HTTP2Fields.Field, of bytes: Span<UInt8>) throws(Malformed) {
        guard bytes.isToken(field.name), !bytes.hasUpperCase(field.name) else {
            throw Malformed(detail: "`\(bytes.text(field.name))` is no name of a field, in lower case")
        }
        try checkValue(field, of: bytes)
        let isOfConnection =
            switch field.name.count {
            case 2 where bytes.isEqual(field.name, to: "te"): !bytes.isEqual(field.value, to: "trailers")
            case 7: bytes.isEqual(field.name, to: "upgrade")
            case 10: bytes.isEqual(field.name, to: "connection") || bytes.isEqual(field.name, to: "keep-alive")
            case 16: bytes.isEqual(field.name, to: "proxy-connection")
            case 17: bytes.isEqual(field.name, to: "transfer-encoding")
            default: false
            }
        guard !isOfConnection else {
            throw Malformed(detail: "field `\(bytes.text(field.name))` is not allowed over HTTP/2")
        }
    }

    private static func checkValue(_ field: HTTP2Fields.Field, of bytes: Span<UInt8>) throws(Malformed) {
        let value = field.value
        guard let first = value.first, let last = value.last else { return }
        var isClean = !isBlank(bytes[first]) && !isBlank(bytes[last])
        for index in value where bytes[index] == 0 || bytes[index] == 10 || bytes[index] == 13 { isClean = false }
        guard isClean else {
            throw Malformed(
                detail:
                    "the value of field `\(bytes.text(field.name))` holds a line end or a zero, or has space around it")
        }
    }
}

extension Span where Element == UInt8 {
    fileprivate func isPseudo(_ name: Range<Int>) -> Bool {
        !name.isEmpty && self[name.lowerBound] == UInt8(ascii: ":")
    }

    fileprivate func isToken(_ range: Range<Int>) -> Bool {
        !range.isEmpty && range.allSatisfy { isTokenCharacter(self[$0]) }
    }

    fileprivate func hasUpperCase(_ range: Range<Int>) -> Bool {
        range.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self[$0]) }
    }

    fileprivate func isSame(_ one: Range<Int>, _ other: Range<Int>) -> Bool {
        one.count == other.count && zip(one, other).allSatisfy { self[$0] == self[$1] }
    }
}

extension ByteBuffer {
    fileprivate mutating func write(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        bytes.extracting(range).withUnsafeBytes { _ = writeBytes($0) }
    }

    fileprivate mutating func writeLine(_ name: StaticString, _ bytes: Span<UInt8>, _ value: Range<Int>) {
        writeStaticString(name)
        writeStaticString(": ")
        write(bytes, value)
        writeStaticString("\r\n")
    }
}
