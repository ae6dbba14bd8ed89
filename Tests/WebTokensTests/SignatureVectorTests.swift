import Foundation
import Testing

@testable import WebTokens

/// The vectors of others: of Project Wycheproof (Vectors/README.md) and of the RFCs.
@Suite struct SignatureVectorTests {
    private struct Vectors: Decodable {
        struct Group: Decodable {
            struct Vector: Decodable {
                var tcId: Int
                var comment: String
                var result: String
                var jws: String
            }

            var comment: String
            /// Nil: the key is a secret that both ends have.
            var `public`: [String: Value]?
            var tests: [Vector]
        }

        /// A member of a key.
        enum Value: Codable {
            case text(String)
            case list([String])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let text = try? container.decode(String.self) {
                    self = .text(text)
                } else {
                    self = .list(try container.decode([String].self))
                }
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                switch self {
                case .text(let text): try container.encode(text)
                case .list(let list): try container.encode(list)
                }
            }
        }

        var numberOfTests: Int
        var testGroups: [Group]
    }

    /// Valid by the vectors, and not for us: tokens that name another algorithm than their key, which is a mistake in the vectors
    /// (345 to 352 copy keys with `ES521`, and PS384 for a key of PS256), and members that are not base64url.
    private static let refused: Set = [346, 347, 350, 351, 372, 373]

    @Test func `the vectors of Wycheproof`() async throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "Vectors/json_web_signature_test.json")
        let vectors = try JSONDecoder().decode(Vectors.self, from: Data(contentsOf: file))
        var looked = 0
        for group in vectors.testGroups {
            let keys = await Self.keySet(group.public)
            for vector in group.tests {
                looked += 1
                let isAccepted = Self.isAccepted(vector.jws, keys)
                let isExpected =
                    vector.result == "valid" && group.public != nil && !Self.refused.contains(vector.tcId)
                #expect(isAccepted == isExpected, "\(vector.tcId) \(group.comment): \(vector.comment)")
            }
        }
        #expect(looked == vectors.numberOfTests && looked > 250)
    }

    private static func keySet(_ key: [String: Vectors.Value]?) async -> KeySet {
        guard let key, let set = try? JSONEncoder().encode(["keys": [key]]) else { return KeySet() }
        return (try? await KeySet(Array(set), algorithms: SigningAlgorithm.allCases)) ?? KeySet()
    }

    private static func isAccepted(_ text: String, _ keys: KeySet) -> Bool {
        guard let signature = WebSignature(Array(text.utf8)), let key = keys.key(signature.keyName) else {
            return false
        }
        return signature.isMade(with: key) == true
    }

    /// RFC 7515 appendix A.3 and RFC 8037 appendix A.4. Their headers name no key, so that the parts are verified by themselves.
    @Test(arguments: [
        (
            SigningAlgorithm.es256,
            #"{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        ),
        (
            SigningAlgorithm.edDSA,
            #"{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        ),
    ])
    func `the vectors of the RFCs`(algorithm: SigningAlgorithm, key: String, signed: String, signature: String)
        async throws
    {
        let keys = try await KeySet(Array(#"{"keys":[\#(key)]}"#.utf8), algorithms: [algorithm])
        let verifier = try #require(keys.key(.init(keyID: "1", algorithm: algorithm.rawValue)))
        // The same text, as it would be with a key in its header.
        let header = TestVectorHeader.encoded(algorithm)
        var parsed = try #require(WebSignature(Array("\(header).e30.\(signature)".utf8)))
        parsed.signed = Array(signed.utf8)[...]
        #expect(parsed.isMade(with: verifier) == true)
        parsed.signed = Array((signed + "A").utf8)[...]
        #expect(parsed.isMade(with: verifier) == false)
    }
}

private enum TestVectorHeader {
    static func encoded(_ algorithm: SigningAlgorithm) -> String {
        Data(#"{"alg":"\#(algorithm.rawValue)","kid":"1"}"#.utf8).base64EncodedString().replacing("=", with: "")
    }
}
