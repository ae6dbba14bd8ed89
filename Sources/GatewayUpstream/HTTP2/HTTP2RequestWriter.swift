package import GatewayCore
import NIOCore

/// Writes the requests of one connection as header blocks (RFC 9113 section 8.3.1, RFC 7541).
///
/// What is the same in many requests is sent once and then named by an index of one byte: the access token, above all. Of what callers
/// decide, nothing gets into the table, so that its state tells nothing about anybody's messages.
package struct HTTP2RequestWriter {
    /// Indices of names in the static table (RFC 7541 appendix A).
    private enum StaticName {
        static let authority = 1
        static let path = 4
        static let accept = 19
        static let authorization = 23
        static let contentLength = 28
        static let contentType = 31
        static let userAgent = 58
    }

    /// The same in all requests.
    private struct Constant {
        let name: Int
        /// Of the name, in bytes.
        let nameLength: Int
        let value: ByteBuffer
        /// In the table.
        var number: Int?
    }

    private struct Token {
        var skill: Int
        var generation: UInt64
        var number: Int
    }

    /// A path that is not remembered, and such a length of the content (RFC 7541 section 6.2.2).
    private static let pathFollows = UInt8(StaticName.path)
    private static let contentLengthFollows = UInt16(0x0F00 + StaticName.contentLength - 15)
    private static let getMethod: UInt8 = 0x80 | 2
    private static let postMethod: UInt8 = 0x80 | 3
    private static let httpScheme: UInt8 = 0x80 | 6
    private static let httpsScheme: UInt8 = 0x80 | 7

    private let scheme: UInt8
    private let root: ByteBuffer
    private let pathPrefix: ByteBuffer
    private var constants: [Constant]
    private var tokens: [Token] = []
    private var table = HPACKEncoderTable()

    package init(endpoint: APIEndpoint, userAgent: String) {
        scheme = endpoint.isSecure ? Self.httpsScheme : Self.httpScheme
        root = ByteBuffer(string: "\(endpoint.pathPrefix)/")
        pathPrefix = ByteBuffer(string: "\(endpoint.pathPrefix)/v1/skillmessages/users/")
        func constant(_ name: Int, _ length: Int, _ value: String) -> Constant {
            Constant(name: name, nameLength: length, value: ByteBuffer(string: value))
        }
        constants = [
            // Before the path: pseudo-header fields come first.
            constant(StaticName.authority, ":authority".utf8.count, endpoint.authority),
            constant(StaticName.userAgent, "user-agent".utf8.count, userAgent),
            constant(StaticName.accept, "accept".utf8.count, "application/json"),
            constant(StaticName.contentType, "content-type".utf8.count, "application/json"),
        ]
    }

    /// `SETTINGS_HEADER_TABLE_SIZE` of the peer.
    mutating func tableOffered(_ bytes: Int) { table.offered(bytes) }

    /// Appends the header block of a request.
    ///
    /// - Parameter skill: whose token it is, by the skill's label.
    mutating func write(_ request: UpstreamRequest, skill: Int, to buffer: inout ByteBuffer) {
        table.writeResize(to: &buffer)
        let length = request.content.readableBytes
        guard let known = indices(of: request.token, of: skill) else {
            return writeUnknown(request, skill: skill, length, to: &buffer)
        }
        let path = pathPrefix.readableBytes + request.user.canonical.readableBytes
        buffer.writePieces(limit: path + 40) { pieces in
            pieces.write(Self.postMethod)
            pieces.write(scheme)
            pieces.write(known.authority)
            pieces.write(Self.pathFollows)
            pieces.writeHPACKInteger(path, bits: 7, pattern: 0)
            pieces.write(pathPrefix)
            pieces.write(request.user.canonical)
            pieces.write(known.userAgent)
            pieces.write(known.accept)
            pieces.write(known.contentType)
            pieces.write(known.token)
            pieces.write(Self.contentLengthFollows)
            pieces.write(UInt8(truncatingIfNeeded: Self.digits(of: length)))
            pieces.write(decimal: length)
        }
        if let trace = request.trace { Self.write(trace, to: &buffer) }
    }

    private static let traceparent = ByteBuffer(string: "traceparent")

    /// Not remembered (RFC 7541 section 6.2.2): the next one is another.
    private static func write(_ trace: SpanReference, to buffer: inout ByteBuffer) {
        buffer.writeInteger(0 as UInt8)
        buffer.writeHPACKString(traceparent)
        buffer.writeHPACKString(ByteBuffer(string: trace.text))
    }

    /// A request of which the peer does not remember all that it could.
    private mutating func writeUnknown(
        _ request: UpstreamRequest, skill: Int, _ length: Int, to buffer: inout ByteBuffer
    ) {
        buffer.writeMultipleIntegers(Self.postMethod, scheme)
        write(constant: 0, to: &buffer)
        buffer.writeInteger(Self.pathFollows)
        buffer.writeHPACKInteger(
            pathPrefix.readableBytes + request.user.canonical.readableBytes, bits: 7, pattern: 0)
        buffer.writeImmutableBuffer(pathPrefix)
        buffer.writeImmutableBuffer(request.user.canonical)
        for place in 1..<constants.count { write(constant: place, to: &buffer) }
        write(request.token, of: skill, to: &buffer)
        buffer.writeInteger(Self.contentLengthFollows)
        buffer.writeInteger(UInt8(truncatingIfNeeded: Self.digits(of: length)))
        buffer.writeDecimal(length)
        if let trace = request.trace { Self.write(trace, to: &buffer) }
    }

    /// Of all that the peer remembers, a byte each: nearly every request is written by these alone, in few steps. Nil if one is missing.
    private func indices(
        of token: AccessToken, of skill: Int
    ) -> (authority: UInt8, userAgent: UInt8, accept: UInt8, contentType: UInt8, token: UInt8)? {
        func byte(_ number: Int?) -> UInt8? {
            guard let number, let index = table.index(of: number), index < 0x7F else { return nil }
            return 0x80 | UInt8(index)
        }
        guard let authority = byte(constants[0].number), let userAgent = byte(constants[1].number),
            let accept = byte(constants[2].number), let contentType = byte(constants[3].number)
        else { return nil }
        return byte(number(of: token, of: skill)).map { (authority, userAgent, accept, contentType, $0) }
    }

    /// In the table, unless the peer has forgotten it.
    private func number(of token: AccessToken, of skill: Int) -> Int? {
        tokens.first { $0.skill == skill && $0.generation == token.generation }?.number
    }

    /// Appends the header block of `GET /`, of which nothing is to be remembered.
    func writeProbe(to buffer: inout ByteBuffer) {
        buffer.writeInteger(Self.getMethod)
        buffer.writeInteger(scheme)
        Self.writeLiteral(StaticName.authority, constants[0].value, isRemembered: false, to: &buffer)
        Self.writeLiteral(StaticName.path, root, isRemembered: false, to: &buffer)
        Self.writeLiteral(StaticName.userAgent, constants[1].value, isRemembered: false, to: &buffer)
    }

    private mutating func write(constant place: Int, to buffer: inout ByteBuffer) {
        if let number = constants[place].number, let index = table.index(of: number) {
            return buffer.writeHPACKInteger(index, bits: 7, pattern: 0x80)
        }
        let constant = constants[place]
        let number = table.insert(bytes: constant.nameLength + constant.value.readableBytes)
        constants[place].number = number
        Self.writeLiteral(constant.name, constant.value, isRemembered: number != nil, to: &buffer)
    }

    private mutating func write(_ token: AccessToken, of skill: Int, to buffer: inout ByteBuffer) {
        if let known = number(of: token, of: skill), let index = table.index(of: known) {
            return buffer.writeHPACKInteger(index, bits: 7, pattern: 0x80)
        }
        let value = token.fieldValue
        let number = table.insert(bytes: "authorization".utf8.count + value.readableBytes)
        tokens.removeAll { $0.skill == skill || table.index(of: $0.number) == nil }
        if let number { tokens.append(Token(skill: skill, generation: token.generation, number: number)) }
        Self.writeLiteral(StaticName.authorization, value, isRemembered: number != nil, to: &buffer)
    }

    /// RFC 7541 sections 6.2.1 and 6.2.2.
    private static func writeLiteral(
        _ name: Int, _ value: ByteBuffer, isRemembered: Bool, to buffer: inout ByteBuffer
    ) {
        if isRemembered {
            buffer.writeHPACKInteger(name, bits: 6, pattern: 0x40)
        } else {
            buffer.writeHPACKInteger(name, bits: 4, pattern: 0)
        }
        buffer.writeHPACKString(value)
    }

    private static func digits(of number: Int) -> Int {
        var (digits, rest) = (1, number / 10)
        while rest > 0 { (digits, rest) = (digits + 1, rest / 10) }
        return digits
    }
}
