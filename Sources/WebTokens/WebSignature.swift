import FoundationEssentials
import GatewayCore
import JWTKit

/// A JSON Web Signature in its compact form (RFC 7515 section 7.1), not verified.
struct WebSignature {
    /// The JOSE header (section 4), as much of it as matters.
    struct Header: Decodable {
        var algorithm: String
        var keyID: String
        var type: String?
        /// What stands in `crit` must be understood (section 4.1.11), and we understand nothing.
        var isCritical: Bool

        enum CodingKeys: String, CodingKey {
            case algorithm = "alg"
            case keyID = "kid"
            case type = "typ"
            case critical = "crit"
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            algorithm = try container.decode(String.self, forKey: .algorithm)
            keyID = try container.decode(String.self, forKey: .keyID)
            type = try container.decodeIfPresent(String.self, forKey: .type)
            isCritical = container.contains(.critical)
        }
    }

    let header: Header
    let payload: [UInt8]
    /// What was signed (section 5.1).
    var signed: ArraySlice<UInt8>
    let signature: [UInt8]

    /// Nil for what is none.
    init?(_ text: [UInt8]) {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64.decodeForURL(parts[0]), let payload = Base64.decodeForURL(parts[1]),
            let signature = Base64.decodeForURL(parts[2]), !signature.isEmpty,
            let header = try? JSONDecoder().decode(Header.self, from: Data(header)), !header.isCritical
        else { return nil }
        self.header = header
        self.payload = payload
        self.signature = signature
        signed = text[..<parts[1].endIndex]
    }

    /// What it is to be verified with.
    var keyName: KeySet.Name { KeySet.Name(keyID: header.keyID, algorithm: header.algorithm) }

    /// Nil if it cannot be one of the key's, and was not looked at.
    func isMade(with key: any JWTAlgorithm) -> Bool? { try? key.verify(signature, signs: signed) }
}
