import Testing

@testable import GatewayCore

struct SipHashTests {
    private static let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)

    /// Of the reference implementation (`vectors.h`), SipHash-2-4: 0, 1, 2, … as the input, by its length.
    @Test(
        arguments: [
            (0, 0x726F_DB47_DD0E_0E31), (1, 0x74F8_39C5_93DC_67FD), (2, 0x0D6C_8009_D9A9_4F5A),
            (8, 0x93F5_F579_9A93_2462), (15, 0xA129_CA61_49BE_45E5),
        ] as [(Int, UInt64)])
    func `the vectors of the reference come out`(length: Int, hash: UInt64) {
        let input = (0..<length).map { UInt8($0) }
        #expect(input.withUnsafeBytes { SipHash(key: Self.key, rounds: 2, 4).hash($0) } == hash)
    }

    @Test func `another key gives another hash, and the same key the same`() {
        let input = Array("amzn1.ask.account.ABC".utf8)
        func hash(_ hash: SipHash) -> UInt64 { input.withUnsafeBytes { hash.hash($0) } }
        #expect(hash(SipHash(key: (1, 2))) == hash(SipHash(key: (1, 2))))
        #expect(hash(SipHash(key: (1, 2))) != hash(SipHash(key: (2, 1))))
        #expect(SipHash() != SipHash())
    }
}
