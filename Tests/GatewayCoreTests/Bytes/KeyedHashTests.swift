import Crypto
import Testing

@testable import GatewayCore

@Suite struct KeyedHashTests {
    @Test(arguments: [0, 1, 32, 63, 64, 65, 200]) func `it is the library's HMAC`(keyBytes: Int) {
        let key = SymmetricKey(data: (0..<keyBytes).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        let hash = KeyedHash(key: key)
        for length in [0, 1, 55, 56, 64, 119, 1000] {
            let message = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            let code = message.withUnsafeBytes { hash.authenticationCode(for: $0) }
            let expected = HMAC<SHA256>.authenticationCode(for: message, using: key)
            #expect(Array(code) == Array(expected))
        }
    }
}
