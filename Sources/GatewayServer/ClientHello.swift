import NIOCore

/// The first message of a TLS handshake (RFC 8446 section 4.1.2), read as it comes for the protocols that its client offers.
///
/// Whatever is no such message is left to the TLS library, which refuses it with the right alert.
struct ClientHello {
    /// What is known of the protocols that the client offers.
    enum Offer: Equatable {
        /// More bytes are needed.
        case unknown
        /// The extension is not there, or the bytes are no message of this kind.
        case none
        /// RFC 7301 section 3.1, in the client's order.
        case protocols([String])
    }

    /// Longer ones are refused by the TLS library.
    private static let limitBytes = 16 * 1024

    /// Bytes that are no whole record yet.
    private var records = ByteBuffer()
    /// The content of whole records: a message can be spread over several.
    private var message = ByteBuffer()

    mutating func receive(_ bytes: ByteBuffer) -> Offer {
        records.writeImmutableBuffer(bytes)
        while let content = Self.content(ofRecordIn: &records) {
            guard let content else { return .none }
            message.writeImmutableBuffer(content)
            if message.readableBytes > Self.limitBytes { return .none }
            // What comes behind the message is not looked at, whether or not it is there already.
            let offer = offer()
            if offer != .unknown { return offer }
        }
        return .unknown
    }

    /// RFC 8446 section 5.1. The outer nil is for bytes that are no whole record yet, the inner for those that can be none of a
    /// handshake.
    private static func content(ofRecordIn bytes: inout ByteBuffer) -> ByteBuffer?? {
        var rest = bytes
        guard let type = rest.readInteger(as: UInt8.self) else { return nil }
        guard type == 22 else { return .some(nil) }
        guard rest.readInteger(as: UInt16.self) != nil, let length = rest.readInteger(as: UInt16.self) else {
            return nil
        }
        guard (1...limitBytes).contains(Int(length)) else { return .some(nil) }
        guard let content = rest.readSlice(length: Int(length)) else { return nil }
        bytes = rest
        return content
    }

    private func offer() -> Offer {
        var rest = message
        guard let type = rest.readInteger(as: UInt8.self) else { return .unknown }
        guard type == 1 else { return .none }
        guard let length = rest.readBytes(length: 3)?.reduce(0, { $0 << 8 | Int($1) }) else { return .unknown }
        guard length <= Self.limitBytes else { return .none }
        guard let body = rest.readSlice(length: length) else { return .unknown }
        return Self.protocols(in: body).map { .protocols($0) } ?? .none
    }

    /// Nil without the extension, or if the bytes do not follow the grammar.
    private static func protocols(in message: ByteBuffer) -> [String]? {
        var rest = message
        let versionAndRandom = 2 + 32
        rest.moveReaderIndex(forwardBy: min(versionAndRandom, rest.readableBytes))
        guard rest.readLengthPrefixedSlice(as: UInt8.self) != nil,  // session id
            rest.readLengthPrefixedSlice(as: UInt16.self) != nil,  // cipher suites
            rest.readLengthPrefixedSlice(as: UInt8.self) != nil,  // compression methods
            var extensions = rest.readLengthPrefixedSlice(as: UInt16.self)
        else { return nil }
        while let type = extensions.readInteger(as: UInt16.self),
            let content = extensions.readLengthPrefixedSlice(as: UInt16.self)
        {
            guard type == 16 else { continue }
            var list = content
            guard var names = list.readLengthPrefixedSlice(as: UInt16.self) else { return nil }
            var protocols: [String] = []
            while let name = names.readLengthPrefixedSlice(as: UInt8.self) {
                protocols.append(String(buffer: name))
            }
            return protocols
        }
        return nil
    }
}
