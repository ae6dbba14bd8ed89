import FoundationEssentials
import GatewayCore

/// A JSON Web Token (RFC 7519), not verified.
struct WebToken {
    /// Section 4.1. Times in Unix seconds.
    struct Claims: Decodable {
        var issuer: String
        var subject: String
        var audiences: [String]
        var expires: Double
        var notBefore: Double?

        enum CodingKeys: String, CodingKey {
            case issuer = "iss"
            case subject = "sub"
            case audiences = "aud"
            case expires = "exp"
            case notBefore = "nbf"
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            issuer = try container.decode(String.self, forKey: .issuer)
            subject = try container.decode(String.self, forKey: .subject)
            if let audience = try? container.decode(String.self, forKey: .audiences) {
                audiences = [audience]
            } else {
                audiences = try container.decode([String].self, forKey: .audiences)
            }
            expires = try container.decode(Double.self, forKey: .expires)
            notBefore = try container.decodeIfPresent(Double.self, forKey: .notBefore)
        }
    }

    /// Of tokens that stand for their subject at a service: RFC 7519 section 5.1, RFC 9068 section 2.1, and what SPIFFE allows. Others
    /// are for something else (RFC 8725 section 3.11).
    private static let types = ["jwt", "jose", "at+jwt"]

    let signature: WebSignature
    let claims: Claims

    /// Nil for what is none, and for one that names something in other characters than visible ASCII. Swift's strings are equal by
    /// canonical equivalence: U+212A would do for `K`. What is configured is ASCII, so that nothing else can be meant.
    init?(_ text: [UInt8]) {
        guard let signature = WebSignature(text), Self.isKnown(signature.header.type),
            signature.header.keyID.isComparable,
            var claims = try? JSONDecoder().decode(Claims.self, from: Data(signature.payload)),
            claims.issuer.isComparable, claims.subject.isComparable
        else { return nil }
        claims.audiences.removeAll { !$0.isComparable }
        self.signature = signature
        self.claims = claims
    }

    private static func isKnown(_ type: String?) -> Bool {
        guard var type = type?.lowercased() else { return true }
        if type.hasPrefix("application/") { type.removeFirst("application/".count) }
        return types.contains(type)
    }
}

extension String {
    /// Whether it is one that can be compared with what is configured.
    var isComparable: Bool { !isEmpty && isVisibleASCII }
}
