import Crypto
public import Foundation

/// Issues JSON Web Tokens, signed by ES256.
public struct TestIssuer: Sendable {
    public let keyID: String
    private let key = P256.Signing.PrivateKey()

    public init(keyID: String = "key-1") {
        self.keyID = keyID
    }

    /// The claims of a good token, for an hour from `now` (Unix time in seconds).
    public static func claims(
        issuer: String = "https://issuer.example", subject: String = "system:serviceaccount:shop:orders",
        audience: String = "skillgate", now: Int = Int(Date().timeIntervalSince1970)
    ) -> [String: any Sendable] {
        ["iss": issuer, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": now + 3600]
    }

    /// - Parameters:
    ///   - header: what it has besides, or instead.
    ///   - claims: as JSON.
    public func token(
        _ claims: [String: any Sendable] = TestIssuer.claims(), header: [String: any Sendable] = [:]
    ) throws -> String {
        let all = (["alg": "ES256", "kid": keyID, "typ": "JWT"] as [String: any Sendable]).merging(header) { $1 }
        return try token(
            header: JSONSerialization.data(withJSONObject: all), claims: JSONSerialization.data(withJSONObject: claims))
    }

    public func token(header: Data, claims: Data) throws -> String {
        let signed = "\(Self.encoded(header)).\(Self.encoded(claims))"
        return "\(signed).\(Self.encoded(try key.signature(for: Data(signed.utf8)).rawRepresentation))"
    }

    /// The key as a JSON Web Key.
    ///
    /// - Parameter members: what it has besides, or instead; an empty text takes a member away.
    public func webKey(_ members: [String: String] = [:]) -> [String: String] {
        let point = key.publicKey.rawRepresentation
        return [
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyID,
            "x": Self.encoded(point.prefix(32)),
            "y": Self.encoded(point.suffix(32)),
        ].merging(members) { $1 }.filter { !$1.isEmpty }
    }

    /// The set of the keys of several issuers, as JSON.
    public static func keySet(_ issuers: TestIssuer...) throws -> Data {
        try JSONSerialization.data(withJSONObject: ["keys": issuers.map { $0.webKey() }])
    }

    public static func encoded(_ data: some DataProtocol) -> String {
        Data(data).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
