import GatewayCore
import WebTokens

enum WebTokenFuzzing {
    private static let nobody = IssuedTokens([], generation: KeyGeneration())

    static func tokenAndKeys(_ bytes: [UInt8]) {
        promise(nobody.verify(bytes, now: 1_800_000_000) == .invalid, "a token of no issuer is valid")
        _ = KeySet.mistake(in: bytes, algorithms: SigningAlgorithm.allCases)
    }
}
