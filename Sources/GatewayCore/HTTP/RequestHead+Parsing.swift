extension RequestHead {
    /// Parses one complete head, from its first byte to the empty line that ends it (RFC 9112 sections 3 to 6).
    ///
    /// Stricter than the RFC asks wherever leniency has let one reader see two requests where another saw one.
    ///
    /// - Parameter isSecure: whether the bytes came over TLS.
    init(parsing bytes: Span<UInt8>, maximumFields: Int, isSecure: Bool = false) throws(FramingError) {
        let (line, firstField) = try FieldLines.line(of: bytes, from: 0, limit: bytes.count)
        let isHTTP11: Bool
        (self, isHTTP11) = try Self.requestLine(of: bytes, in: line, isSecure: isSecure)
        var state = FieldState()
        var next = firstField
        while let field = try FieldLines.field(of: bytes, from: next) {
            state.fieldCount += 1
            guard state.fieldCount <= maximumFields else {
                throw FramingError("the head has more than \(maximumFields) fields")
            }
            try interpret(field.name, field.value, of: bytes, state: &state)
            next = field.next
        }
        guard next + 2 == bytes.count else { throw FramingError("the head continues after its empty line") }
        guard state.hasHost || !isHTTP11 else { throw FramingError("field `Host` is missing") }
        keepsAlive = isHTTP11 && !state.connection.hasClose
        // RFC 9110 section 10.1.1: HTTP/1.0 knows no interim responses.
        if !isHTTP11 { expectsContinue = false }
        if state.isChunked {
            guard !state.hasLength else {
                throw FramingError("both `Content-Length` and `Transfer-Encoding` are given; send one of them")
            }
            guard isHTTP11 else { throw FramingError("`Transfer-Encoding` requires HTTP/1.1") }
            framing = .chunked
        }
    }

    private struct FieldState {
        var fieldCount = 0
        var hasHost = false
        var hasLength = false
        var isChunked = false
        var hasTraceParent = false
        var hasRequestID = false
        var connection = ConnectionOptions()
    }

    private static func requestLine(
        of bytes: Span<UInt8>, in line: Range<Int>, isSecure: Bool
    ) throws(FramingError) -> (RequestHead, isHTTP11: Bool) {
        var methodEnd = line.lowerBound
        while methodEnd < line.upperBound && isTokenCharacter(bytes[methodEnd]) { methodEnd += 1 }
        guard methodEnd > line.lowerBound && methodEnd < line.upperBound && bytes[methodEnd] == UInt8(ascii: " ")
        else { throw FramingError("the request line does not start with a method and one space") }
        let targetStart = methodEnd + 1
        let targetEnd = min(bytes.endOfVisible(from: targetStart), line.upperBound)
        guard targetEnd > targetStart && targetEnd < line.upperBound && bytes[targetEnd] == UInt8(ascii: " ")
        else { throw FramingError("the request line has no valid target followed by one space") }
        let version = targetEnd + 1..<line.upperBound
        let isHTTP11 = bytes.isEqual(version, to: "HTTP/1.1")
        guard isHTTP11 || bytes.isEqual(version, to: "HTTP/1.0") else {
            throw FramingError("the request line does not end in `HTTP/1.1` or `HTTP/1.0`")
        }
        let method: Method =
            switch methodEnd - line.lowerBound {
            case 3 where bytes.isEqual(line.lowerBound..<methodEnd, to: "GET"): .get
            case 3 where bytes.isEqual(line.lowerBound..<methodEnd, to: "PUT"): .put
            case 4 where bytes.isEqual(line.lowerBound..<methodEnd, to: "POST"): .post
            case 4 where bytes.isEqual(line.lowerBound..<methodEnd, to: "HEAD"): .head
            default: .other
            }
        let authority = try authority(of: bytes, in: targetStart..<targetEnd, isSecure: isSecure)
        let path = (authority?.upperBound ?? targetStart)..<targetEnd
        let pathEnd = bytes.first(UInt8(ascii: "?"), in: path)
        var head = RequestHead(
            method: method,
            path: path.lowerBound..<pathEnd,
            hasQuery: pathEnd < path.upperBound,
            keepsAlive: isHTTP11
        )
        head.authority = authority
        return (head, isHTTP11)
    }

    /// Host and port of a target in absolute form, which a server must accept (RFC 9112 section 3.2.2); nil for another form.
    private static func authority(
        of bytes: Span<UInt8>, in target: Range<Int>, isSecure: Bool
    ) throws(FramingError) -> Range<Int>? {
        let start = target.lowerBound
        guard bytes[start] != UInt8(ascii: "/") else { return nil }
        let isHTTP = target.count >= 7 && bytes.isEqualIgnoringCase(start..<start + 7, to: "http://")
        let isHTTPS = target.count >= 8 && bytes.isEqualIgnoringCase(start..<start + 8, to: "https://")
        guard isHTTP || isHTTPS else { return nil }
        guard isHTTPS == isSecure else {
            throw FramingError(
                "the scheme of the target is `\(isHTTPS ? "https" : "http")`, and the connection is "
                    + "\(isSecure ? "encrypted" : "not encrypted")")
        }
        let authority = start + (isHTTPS ? 8 : 7)
        var end = authority
        while end < target.upperBound && bytes[end] != UInt8(ascii: "/") && bytes[end] != UInt8(ascii: "?") { end += 1 }
        guard Authority.isValid(bytes, authority..<end) else {
            throw FramingError("the target has no valid host, with or without a port, after its scheme")
        }
        return authority..<end
    }

    private mutating func interpret(
        _ name: Range<Int>, _ value: Range<Int>, of bytes: Span<UInt8>, state: inout FieldState
    ) throws(FramingError) {
        switch name.count {
        case 4 where bytes.isEqualIgnoringCase(name, to: "host"):
            guard !state.hasHost else { throw FramingError("field `Host` is given twice") }
            guard Authority.isValid(bytes, value) else {
                throw FramingError("field `Host` is not a valid host, with or without a port")
            }
            state.hasHost = true
            // The authority of the target counts more (RFC 9112 section 3.2.2).
            if authority == nil { authority = value }
        case 6 where bytes.isEqualIgnoringCase(name, to: "accept"):
            // The first of several: what it says is a wish.
            accept = accept ?? value
        case 6 where bytes.isEqualIgnoringCase(name, to: "expect"):
            guard bytes.isEqualIgnoringCase(value, to: "100-continue") else {
                throw FramingError("field `Expect` is something other than `100-continue`")
            }
            expectsContinue = true
        case 6 where bytes.isEqualIgnoringCase(name, to: "origin"):
            origin = value
        case 10 where bytes.isEqualIgnoringCase(name, to: "connection"):
            state.connection.read(value, of: bytes)
        case 11 where bytes.isEqualIgnoringCase(name, to: "traceparent"):
            // Of two, neither counts (W3C Trace Context, section 3.3.1.1): what traces is no reason to refuse a message.
            traceParent = state.hasTraceParent ? nil : value
            state.hasTraceParent = true
        case 12 where bytes.isEqualIgnoringCase(name, to: "x-request-id"):
            requestID = state.hasRequestID ? nil : value
            state.hasRequestID = true
        case 12 where bytes.isEqualIgnoringCase(name, to: "content-type"):
            Self.note(.contentType, at: value, in: &contentType, repeated: &repeatedField)
        case 13 where bytes.isEqualIgnoringCase(name, to: "authorization"):
            Self.note(.authorization, at: value, in: &authorization, repeated: &repeatedField)
        case 13 where bytes.isEqualIgnoringCase(name, to: "gateway-skill"):
            Self.note(.gatewaySkill, at: value, in: &gatewaySkill, repeated: &repeatedField)
        case 14 where bytes.isEqualIgnoringCase(name, to: "sec-fetch-site"):
            secFetchSite = value
        case 14 where bytes.isEqualIgnoringCase(name, to: "content-length"):
            guard !state.hasLength else { throw FramingError("field `Content-Length` is given twice") }
            guard let length = bytes.decimal(value) else {
                throw FramingError("field `Content-Length` is not a plain decimal number")
            }
            state.hasLength = true
            framing = .length(length)
        case 14 where bytes.isEqualIgnoringCase(name, to: "gateway-region"):
            Self.note(.gatewayRegion, at: value, in: &gatewayRegion, repeated: &repeatedField)
        case 15 where bytes.isEqualIgnoringCase(name, to: "idempotency-key"):
            Self.note(.idempotencyKey, at: value, in: &idempotencyKey, repeated: &repeatedField)
        case 15 where bytes.isEqualIgnoringCase(name, to: "gateway-timeout"):
            Self.note(.gatewayTimeout, at: value, in: &gatewayTimeout, repeated: &repeatedField)
        case 15 where bytes.isEqualIgnoringCase(name, to: "x-forwarded-for"): hasForwardedFor = true
        case 16 where bytes.isEqualIgnoringCase(name, to: "content-encoding"):
            Self.note(.contentEncoding, at: value, in: &contentEncoding, repeated: &repeatedField)
        case 17 where bytes.isEqualIgnoringCase(name, to: "transfer-encoding"):
            guard !state.isChunked && bytes.isEqualIgnoringCase(value, to: "chunked") else {
                throw FramingError("field `Transfer-Encoding` is something other than one `chunked`")
            }
            state.isChunked = true
        case 18 where bytes.isEqualIgnoringCase(name, to: "idempotency-resend"):
            Self.note(.idempotencyResend, at: value, in: &idempotencyResend, repeated: &repeatedField)
        case 20 where bytes.isEqualIgnoringCase(name, to: "gateway-api-endpoint"):
            Self.note(.gatewayAPIEndpoint, at: value, in: &gatewayAPIEndpoint, repeated: &repeatedField)
        case 21 where bytes.isEqualIgnoringCase(name, to: "gateway-validate-only"):
            Self.note(.gatewayValidateOnly, at: value, in: &gatewayValidateOnly, repeated: &repeatedField)
        default: break
        }
    }
}
