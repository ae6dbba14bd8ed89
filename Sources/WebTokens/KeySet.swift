import FoundationEssentials
import GatewayCore
import JWTKit

/// An algorithm that a token may be signed with (RFC 7518 section 3.1, RFC 8037 section 3.1). Each needs a key pair: who can verify
/// cannot sign.
package enum SigningAlgorithm: String, CaseIterable, Sendable {
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case edDSA = "EdDSA"

    fileprivate var keyType: String {
        switch self {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: "RSA"
        case .es256, .es384, .es512: "EC"
        case .edDSA: "OKP"
        }
    }

    /// `crv` of its keys; nil if they have none.
    fileprivate var curve: String? {
        switch self {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: nil
        case .es256: "P-256"
        case .es384: "P-384"
        case .es512: "P-521"
        case .edDSA: "Ed25519"
        }
    }
}

/// The keys of an issuer (RFC 7517 section 5), those that are of use.
package struct KeySet: Sendable {
    package struct ReadingError: Error, Equatable, CustomStringConvertible {
        package var description: String
    }

    package static let limitBytes = 256 << 10
    static let maximumKeys = 100

    /// What a token names: a key, and an algorithm to use it with.
    struct Name: Hashable {
        var keyID: String
        var algorithm: String
    }

    private var keys: [Name: any JWTAlgorithm] = [:]
    /// To tell whether another set has the same.
    private var sources: [Name: Key] = [:]

    /// None.
    package init() {}

    package var count: Int { Set(keys.keys.map(\.keyID)).count }

    /// Reads a set. A key that is of no use is left out, and does not keep the others from being used.
    ///
    /// - Parameters:
    ///   - text: the set, as JSON.
    ///   - algorithms: no other is used, whatever keys and tokens say.
    package init(_ text: [UInt8], algorithms: [SigningAlgorithm]) async throws(ReadingError) {
        for (key, algorithm) in try Self.usable(text, algorithms) { await add(key, algorithm) }
        guard !keys.isEmpty else { throw Self.noKey(algorithms) }
    }

    /// What is wrong with a set, as far as its text tells; nil if nothing is.
    package static func mistake(in text: [UInt8], algorithms: [SigningAlgorithm]) -> String? {
        do throws(ReadingError) {
            _ = try usable(text, algorithms)
            return nil
        } catch {
            return error.description
        }
    }

    private static func usable(
        _ text: [UInt8], _ algorithms: [SigningAlgorithm]
    ) throws(ReadingError) -> [(Key, SigningAlgorithm)] {
        guard text.count <= limitBytes else {
            throw ReadingError(description: "the key set is larger than \(limitBytes) bytes")
        }
        guard let set = try? JSONDecoder().decode(Members.self, from: Data(text)) else {
            throw ReadingError(description: "not a JSON Web Key Set; expected an object with the list `keys`")
        }
        guard set.keys.count <= maximumKeys else {
            throw ReadingError(description: "the key set has \(set.keys.count) keys; expected at most \(maximumKeys)")
        }
        let usable = set.keys.compactMap(\.key).flatMap { key in
            algorithms.filter { key.isUsable(with: $0) }.map { (key, $0) }
        }
        guard !usable.isEmpty else { throw noKey(algorithms) }
        return usable
    }

    private static func noKey(_ algorithms: [SigningAlgorithm]) -> ReadingError {
        ReadingError(
            description: "the key set has no key that can be used; expected one with `kid`, for signatures, and for "
                + algorithms.map(\.rawValue).joined(separator: " or "))
    }

    private mutating func add(_ key: Key, _ algorithm: SigningAlgorithm) async {
        let name = Name(keyID: key.keyID, algorithm: algorithm.rawValue)
        guard keys[name] == nil, let verifier = await key.verifier(algorithm) else { return }
        keys[name] = verifier
        sources[name] = key
    }

    /// Never another than the one named.
    func key(_ name: Name) -> (any JWTAlgorithm)? { keys[name] }

    func has(keyID: String) -> Bool { keys.keys.contains { $0.keyID == keyID } }

    /// Whether every token that is valid with `other` is so with this one, too.
    func includes(_ other: KeySet) -> Bool {
        other.sources.allSatisfy { name, key in sources[name] == key }
    }
}

private struct Members: Decodable {
    /// A member of the list that may be none of our keys.
    struct Member: Decodable {
        var key: Key?

        init(from decoder: any Decoder) {
            key = (try? Key(from: decoder)).flatMap { $0.keyID.isComparable ? $0 : nil }
        }
    }

    var keys: [Member]
}

/// RFC 7517 section 4; public parts only, whatever else is published by mistake.
private struct Key: Decodable, Hashable {
    var keyType: String
    var keyID: String
    var use: String?
    var operations: [String]?
    var algorithm: String?
    var curve: String?
    var x: String?
    var y: String?
    var modulus: String?
    var exponent: String?

    enum CodingKeys: String, CodingKey {
        case keyType = "kty"
        case keyID = "kid"
        case use
        case operations = "key_ops"
        case algorithm = "alg"
        case curve = "crv"
        case x, y
        case modulus = "n"
        case exponent = "e"
    }

    /// NIST SP 800-131A forbids shorter ones; longer ones would cost more than a message may.
    private static let modulusBytes = 256...1024

    func isUsable(with algorithm: SigningAlgorithm) -> Bool {
        keyType == algorithm.keyType && curve == algorithm.curve && use ?? "sig" == "sig"
            && operations?.contains("verify") ?? true
            && self.algorithm ?? algorithm.rawValue == algorithm.rawValue
    }

    /// Nil for a key that is none.
    func verifier(_ algorithm: SigningAlgorithm) async -> (any JWTAlgorithm)? {
        let id = JWKIdentifier(string: keyID)
        guard let jwkAlgorithm = JWK.Algorithm(rawValue: algorithm.rawValue) else { return nil }
        let key: JWK
        switch algorithm {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512:
            guard let modulus, let exponent, let bytes = Base64.decodeForURL(Array(modulus.utf8)[...]),
                Self.modulusBytes.contains(bytes.drop { $0 == 0 }.count)
            else { return nil }
            key = .rsa(jwkAlgorithm, identifier: id, modulus: modulus, exponent: exponent)
        case .es256:
            key = .ecdsa(jwkAlgorithm, identifier: id, x: x, y: y, curve: .p256)
        case .es384:
            key = .ecdsa(jwkAlgorithm, identifier: id, x: x, y: y, curve: .p384)
        case .es512:
            key = .ecdsa(jwkAlgorithm, identifier: id, x: x, y: y, curve: .p521)
        case .edDSA:
            key = .octetKeyPair(jwkAlgorithm, identifier: id, x: x, y: nil, curve: .ed25519)
        }
        // A collection for each key: one of several would give another key than the one asked for.
        guard let collection = try? await JWTKeyCollection().add(jwk: key) else { return nil }
        return try? await collection.getKey(for: id, alg: algorithm.rawValue)
    }
}
