import Crypto

/// A signature that is looked at in the place of one for which there is no key.
enum Decoy {
    /// Of nobody: the base point of P-256 (SEC 2 section 2.4.2).
    private static let key = try? P256.Signing.PublicKey(
        compressedRepresentation: [
            0x03, 0x6B, 0x17, 0xD1, 0xF2, 0xE1, 0x2C, 0x42, 0x47, 0xF8, 0xBC, 0xE6, 0xE5, 0x63, 0xA4, 0x40, 0xF2, 0x77,
            0x03,
            0x7D, 0x81, 0x2D, 0xEB, 0x33, 0xA0, 0xF4, 0xA1, 0x39, 0x45, 0xD8, 0x98, 0xC2, 0x96,
        ] as [UInt8])
    /// Two numbers in the range of the curve.
    private static let signature = try? P256.Signing.ECDSASignature(
        rawRepresentation: [UInt8](repeating: 0x55, count: 64))

    static func verify(_ text: [UInt8]) {
        guard let key, let signature else { return }
        _ = key.isValidSignature(signature, for: text)
    }
}
