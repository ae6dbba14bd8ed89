import NIOCore

/// Turns the fields of a request over HTTP/2 into the head that it would have over HTTP/1.1, so that one parser decides what a head says,
/// whichever protocol it came by.
enum HTTP2RequestHead {
    /// What a request must not be (RFC 9113 section 8.1.1): whoever sends it does not speak the protocol.
    ///
    /// Its stream is reset, and nothing can be said with that.
    struct Malformed: Error {}

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
            default: throw Malformed()
            }
        }
    }

    /// - Returns: a request line and field lines, up to the empty one.
    static func head(_ fields: HTTP2Fields) throws(Malformed) -> ByteBuffer {
        let bytes = fields.bytes.span
        let isClean = bytes.firstControlCharacter(from: 0) == bytes.count
        var pseudo = PseudoFields()
        var count = 0
        while count < fields.fields.count, bytes.isPseudo(fields.fields[count].name) {
            try checkValue(fields.fields[count], of: bytes, isClean: isClean)
            try pseudo.take(fields.fields[count], of: bytes)
            count += 1
        }
        guard let method = pseudo.method, let path = pseudo.path, pseudo.scheme != nil else {
            throw Malformed()
        }
        // Else the request line could say something that no field does.
        guard bytes.isToken(method) else { throw Malformed() }
        guard !path.isEmpty, bytes[path.lowerBound] == UInt8(ascii: "/") || bytes.isEqual(path, to: "*") else {
            throw Malformed()
        }
        for field in fields.fields[count...] {
            try check(field, of: bytes, isClean: isClean)
            guard let authority = pseudo.authority, bytes.isEqual(field.name, to: "host") else { continue }
            guard bytes.isSame(authority, field.value) else {
                throw Malformed()
            }
        }
        return head(method, path, pseudo.authority, fields.fields[count...], of: bytes)
    }

    private static func head(
        _ method: Range<Int>, _ path: Range<Int>, _ authority: Range<Int>?, _ fields: ArraySlice<HTTP2Fields.Field>,
        of bytes: Span<UInt8>
    ) -> ByteBuffer {
        var head = ByteBuffer()
        head.writePieces(limit: bytes.count + 4 * fields.count + 32) { pieces in
            pieces.write(bytes, method)
            pieces.write(" ")
            pieces.write(bytes, path)
            pieces.write(" HTTP/1.1\r\n")
            if let authority {
                pieces.write("host: ")
                pieces.write(bytes, authority)
                pieces.write("\r\n")
            }
            for field in fields where authority == nil || !bytes.isEqual(field.name, to: "host") {
                pieces.write(bytes, field.name)
                pieces.write(": ")
                pieces.write(bytes, field.value)
                pieces.write("\r\n")
            }
            pieces.write("\r\n")
        }
        return head
    }

    /// Fields behind the content (RFC 9113 section 8.1). None of them is looked at.
    static func checkTrailers(_ fields: HTTP2Fields) throws(Malformed) {
        for field in fields.fields { try check(field, of: fields.bytes.span, isClean: false) }
    }

    /// A field that is no pseudo-header field (RFC 9113 sections 8.2.1 and 8.2.2).
    private static func check(
        _ field: HTTP2Fields.Field, of bytes: Span<UInt8>, isClean: Bool
    ) throws(Malformed) {
        guard bytes.isFieldName(field.name) else {
            throw Malformed()
        }
        try checkValue(field, of: bytes, isClean: isClean)
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
            throw Malformed()
        }
    }

    /// - Parameter isClean: that no field holds a control character is known already.
    private static func checkValue(
        _ field: HTTP2Fields.Field, of bytes: Span<UInt8>, isClean: Bool
    ) throws(Malformed) {
        let value = field.value
        guard let first = value.first, let last = value.last else { return }
        var isGood = !isBlank(bytes[first]) && !isBlank(bytes[last])
        if !isClean {
            for index in value where bytes[index] == 0 || bytes[index] == 10 || bytes[index] == 13 { isGood = false }
        }
        guard isGood else {
            throw Malformed()
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

    /// A name in lower case (RFC 9113 section 8.2.1).
    fileprivate func isFieldName(_ range: Range<Int>) -> Bool {
        guard !range.isEmpty else { return false }
        for index in range {
            let byte = self[index]
            guard isTokenCharacter(byte), !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) else { return false }
        }
        return true
    }

    fileprivate func isSame(_ one: Range<Int>, _ other: Range<Int>) -> Bool {
        one.count == other.count && zip(one, other).allSatisfy { self[$0] == self[$1] }
    }
}
