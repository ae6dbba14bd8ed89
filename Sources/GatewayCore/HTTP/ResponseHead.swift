/// The head of an upstream's response: what the gateway passes on, as ranges of the bytes it was parsed from.
struct ResponseHead: Equatable {
    /// How the content is delimited (RFC 9112 section 6.3).
    enum Framing: Equatable {
        case none
        /// In bytes.
        case length(Int)
        case chunked
        case untilClose
    }

    var status: Int
    var framing: Framing
    var keepsAlive: Bool
    var requestID: Range<Int>?
    var retryAfter: Range<Int>?
    var contentType: Range<Int>?

    /// Parses one complete head, from its status line to the empty line that ends it.
    init(parsing bytes: Span<UInt8>, maximumFields: Int) throws(FramingError) {
        let (line, firstField) = try FieldLines.line(of: bytes, from: 0, limit: bytes.count)
        guard line.count >= 12 else { throw FramingError("the status line is too short") }
        let isHTTP11 = bytes.isEqual(0..<9, to: "HTTP/1.1 ")
        guard isHTTP11 || bytes.isEqual(0..<9, to: "HTTP/1.0 ") else {
            throw FramingError("the status line does not start with `HTTP/1.1` or `HTTP/1.0`")
        }
        guard let status = bytes.decimal(9..<12), (100...599).contains(status),
            line.count == 12 || bytes[12] == UInt8(ascii: " ")
        else { throw FramingError("the status line has no status code of three digits") }
        self.status = status
        keepsAlive = isHTTP11
        framing = .untilClose
        var length: Int?
        var isChunked = false
        var fieldCount = 0
        var options = ConnectionOptions()
        var next = firstField
        while let field = try FieldLines.field(of: bytes, from: next) {
            fieldCount += 1
            guard fieldCount <= maximumFields else { throw FramingError("more than \(maximumFields) fields") }
            let (name, value) = (field.name, field.value)
            next = field.next
            switch name.count {
            case 10 where bytes.isEqualIgnoringCase(name, to: "connection"):
                options.read(value, of: bytes)
            case 11 where bytes.isEqualIgnoringCase(name, to: "retry-after"):
                retryAfter = value
            case 12 where bytes.isEqualIgnoringCase(name, to: "content-type"):
                contentType = value
            case 14 where bytes.isEqualIgnoringCase(name, to: "content-length"):
                guard length == nil, let count = bytes.decimal(value) else {
                    throw FramingError("`Content-Length` is repeated or not a decimal number")
                }
                length = count
            case 16 where bytes.isEqualIgnoringCase(name, to: "x-amzn-requestid"):
                requestID = value
            case 17 where bytes.isEqualIgnoringCase(name, to: "transfer-encoding"):
                guard !isChunked && isHTTP11 && bytes.isEqualIgnoringCase(value, to: "chunked") else {
                    throw FramingError("`Transfer-Encoding` is something other than one `chunked`")
                }
                isChunked = true
            case 17 where bytes.isEqualIgnoringCase(name, to: "x-amzn-request-id"):
                requestID = value
            default: break
            }
        }
        keepsAlive = !options.hasClose && (isHTTP11 || options.hasKeepAlive)
        guard !(isChunked && length != nil) else {
            throw FramingError("both `Content-Length` and `Transfer-Encoding` are given")
        }
        if status < 200 || status == 204 || status == 304 {
            framing = .none
        } else if isChunked {
            framing = .chunked
        } else if let length {
            framing = .length(length)
        } else {
            keepsAlive = false
        }
    }
}
