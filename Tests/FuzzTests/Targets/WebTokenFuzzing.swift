import GatewayCore
import NIOEmbedded
import WebTokens

enum WebTokenFuzzing {
    private static let nobody = IssuedTokens([], generation: KeyGeneration())

    static func tokenAndKeys(_ bytes: [UInt8]) {
        // Without an issuer it is parsed and no more: the signatures are in the tests of `WebTokens`.
        if case .now(let verdict) = nobody.verify(bytes, now: 1_800_000_000, on: EmbeddedEventLoop()) {
            promise(verdict == .invalid, "a token of no issuer is valid")
        } else {
            promise(false, "a token of no issuer waits for a key")
        }
        _ = KeySet.mistake(in: bytes, algorithms: SigningAlgorithm.allCases)
    }
}
