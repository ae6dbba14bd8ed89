import GatewayCore
import NIOCore

/// The header in front of a connection by which a proxy tells whom it speaks for: the PROXY protocol, versions 1 and 2, as its
/// specification has them (HAProxy, `doc/proxy-protocol.txt`, 2020/03/05). Pure: bytes in, a decision out.
struct ProxyHeader {
    enum Decision: Equatable {
        /// More bytes are needed.
        case undecided
        /// - Parameters:
        ///   - client: nil: the proxy speaks for itself, or does not know.
        ///   - rest: what stands behind the header.
        case complete(client: SocketAddress?, rest: ByteBuffer)
        case malformed
    }

    private enum Flaw: Error {
        case incomplete
        case malformed
    }

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let word = Array("PROXY ".utf8)
    /// Of version 1, with its CR LF (section 2.1).
    private static let lineBytes = 107
    /// Behind the first 16 bytes of version 2: addresses, and what else a proxy may tell. Far below the 65,535 that the protocol allows.
    private static let payloadBytes = 4096

    private var seen = ByteBuffer()

    mutating func receive(_ bytes: ByteBuffer) -> Decision {
        seen.writeImmutableBuffer(bytes)
        var rest = seen
        do {
            let client = try Self.startsLike(seen, Self.word) ? Self.readLine(&rest) : Self.readBinary(&rest)
            return .complete(client: client, rest: rest)
        } catch {
            return error == .incomplete ? .undecided : .malformed
        }
    }

    /// Whether this may become, or is, something that starts with `start`.
    private static func startsLike(_ bytes: ByteBuffer, _ start: [UInt8]) -> Bool {
        bytes.readableBytesView.starts(with: start.prefix(bytes.readableBytes))
    }

    /// Version 1 (section 2.1).
    private static func readLine(_ bytes: inout ByteBuffer) throws(Flaw) -> SocketAddress? {
        let view = bytes.readableBytesView.prefix(lineBytes)
        guard let end = view.firstIndex(of: UInt8(ascii: "\n")) else {
            throw view.count < lineBytes ? .incomplete : .malformed
        }
        guard let line = bytes.readString(length: end - view.startIndex + 1), line.hasSuffix("\r\n") else {
            throw .malformed
        }
        let words = line.dropLast().split(separator: " ", omittingEmptySubsequences: false)
        // Whatever stands behind it is to be ignored.
        if words.count >= 2 && words[1] == "UNKNOWN" { return nil }
        guard words.count == 6, let port = Self.port(words[4]), Self.port(words[5]) != nil else { throw .malformed }
        let family: NIOBSDSocket.ProtocolFamily
        switch words[1] {
        case "TCP4": family = .inet
        case "TCP6": family = .inet6
        default: throw .malformed
        }
        guard let source = SocketAddress.numeric(String(words[2]), port: port),
            let destination = SocketAddress.numeric(String(words[3])),
            source.protocol == family, destination.protocol == family
        else { throw .malformed }
        return source
    }

    /// 0 to 65535, without a leading zero.
    private static func port(_ text: Substring) -> Int? {
        Int(digits: text, leadingZeros: false).flatMap { $0 <= 65_535 ? $0 : nil }
    }

    /// Version 2 (section 2.2).
    private static func readBinary(_ bytes: inout ByteBuffer) throws(Flaw) -> SocketAddress? {
        guard startsLike(bytes, signature) else { throw .malformed }
        bytes.moveReaderIndex(forwardBy: min(signature.count, bytes.readableBytes))
        guard let (command, family, length) = bytes.readMultipleIntegers(as: (UInt8, UInt8, UInt16).self) else {
            throw .incomplete
        }
        guard Int(length) <= payloadBytes, command == 0x20 || command == 0x21 else { throw .malformed }
        guard var payload = bytes.readSlice(length: Int(length)) else { throw .incomplete }
        let isLocal = command == 0x20
        if isLocal { return nil }
        let addressBytes: Int
        switch family {
        case 0x11: addressBytes = 4
        case 0x21: addressBytes = 16
        // Unspecified, and Unix sockets: of another machine's processes.
        case 0x00, 0x31: return nil
        default: throw .malformed
        }
        guard let source = payload.readSlice(length: addressBytes), payload.readSlice(length: addressBytes) != nil,
            let port = payload.readInteger(as: UInt16.self), payload.readInteger(as: UInt16.self) != nil,
            let address = try? SocketAddress(packedIPAddress: source, port: Int(port))
        else { throw .malformed }
        return address
    }
}
