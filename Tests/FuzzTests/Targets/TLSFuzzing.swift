import NIOCore

@testable import GatewayServer

enum TLSFuzzing {
    /// The same wherever the bytes are cut; what was once known does not change with more bytes.
    static func hello(_ bytes: [UInt8]) {
        var whole = ClientHello()
        let expected = whole.receive(ByteBuffer(bytes: bytes))
        var cut = ClientHello()
        var known = ClientHello.Offer.unknown
        for byte in bytes where known == .unknown { known = cut.receive(ByteBuffer(integer: byte)) }
        promise(known == expected, "\(known) byte by byte, \(expected) at once")
    }
}
