import Foundation
import GatewayCore
import NIOEmbedded
import TestSupport
import Testing

@testable import WebTokens

@Suite struct IssuedTokensTests {
    private static let now = 1_800_000_000
    private let issuer = TestIssuer()

    private func verifier(_ keys: Data? = nil) async throws -> IssuedTokens {
        let set = try await KeySet(Array(keys ?? TestIssuer.keySet(issuer)), algorithms: [.es256])
        let generation = KeyGeneration()
        return IssuedTokens(
            [
                IssuedTokens.Issuer(
                    issuer: "https://issuer.example", audiences: ["skillgate", "other"],
                    keys: IssuerKeys(
                        set, algorithms: [.es256], fetch: nil, eventLoop: EmbeddedEventLoop(), generation: generation))
            ], generation: generation)
    }

    private func claims(_ others: [String: any Sendable] = [:], without name: String? = nil) -> [String: any Sendable] {
        var claims = TestIssuer.claims(now: Self.now).merging(others) { $1 }
        if let name { claims[name] = nil }
        return claims
    }

    private static let identity = WebTokenIdentity(
        issuer: "https://issuer.example", subject: "system:serviceaccount:shop:orders")

    @Test(
        arguments: [
            [:], ["aud": ["elsewhere", "other"]], ["aud": "other"], ["exp": 1_800_003_599.5], ["nbf": 1_800_000_030],
            ["exp": 1_799_999_971], ["exp": 1e300], ["unknown": ["deep": [1, 2]]],
        ] as [[String: any Sendable]])
    func `good tokens`(others: [String: any Sendable]) async throws {
        let verdict = try await verifier().verify(Array(try issuer.token(claims(others)).utf8), now: Self.now)
        guard case .valid(let identity, let until)? = verdict else { return #expect(Bool(false), "\(others)") }
        #expect(identity == Self.identity && until > Self.now)
    }

    @Test func `a token is valid until it expires, and for the leeway behind`() async throws {
        let (token, verifier) = (Array(try issuer.token(claims()).utf8), try await verifier())
        #expect(verifier.verify(token, now: Self.now) == .valid(Self.identity, until: Self.now + 3630))
        #expect(verifier.verify(token, now: Self.now + 3629) == .valid(Self.identity, until: Self.now + 3630))
        #expect(verifier.verify(token, now: Self.now + 3630) == .invalid)
        #expect(verifier.verify(token, now: Self.now - 31) == .invalid)
    }

    @Test(
        arguments: [
            ["iss": "https://issuer.example/"], ["iss": 7], ["sub": ""], ["sub": 7],
            ["sub": "system:serviceaccount:shop:order\u{73}\u{301}"],
            ["aud": "elsewhere"], ["aud": [] as [String]], ["aud": 7], ["exp": 1_799_999_970], ["exp": "1800003600"],
            ["exp": -1e300], ["nbf": 1_800_000_031], ["nbf": "0"],
        ] as [[String: any Sendable]])
    func `bad claims`(others: [String: any Sendable]) async throws {
        #expect(try await verifier().verify(Array(try issuer.token(claims(others)).utf8), now: Self.now) == .invalid)
    }

    @Test(arguments: ["iss", "sub", "aud", "exp"])
    func `missing claims`(name: String) async throws {
        let token = try issuer.token(claims(without: name))
        #expect(try await verifier().verify(Array(token.utf8), now: Self.now) == .invalid)
    }

    @Test(
        arguments: [
            ["alg": "none"], ["alg": "None"], ["alg": "HS256"], ["alg": "RS256"], ["alg": "es256"], ["alg": 7],
            ["kid": "key-2"],
            ["kid": 7], ["kid": ""], ["crit": ["exp"]], ["crit": [] as [String]], ["typ": "secevent+jwt"],
            ["typ": "dpop+jwt"],
            ["typ": 7],
        ] as [[String: any Sendable]])
    func `bad headers`(header: [String: any Sendable]) async throws {
        let token = try issuer.token(claims(), header: header)
        #expect(try await verifier().verify(Array(token.utf8), now: Self.now) == .invalid)
    }

    @Test(arguments: ["JWT", "jwt", "JOSE", "at+jwt", "application/at+jwt"])
    func `types of tokens that are meant`(type: String) async throws {
        let token = try issuer.token(claims(), header: ["typ": type])
        #expect(try await verifier().verify(Array(token.utf8), now: Self.now) != .invalid)
    }

    /// The only key there is does not do for an unknown name, and none is not a name.
    @Test func `a token never gets another key than it names`() async throws {
        let other = TestIssuer(keyID: "key-2")
        let verifier = try await verifier()
        for header in [["kid": "key-2"], [:]] as [[String: any Sendable]] {
            let token = try other.token(claims(), header: header)
            #expect(verifier.verify(Array(token.utf8), now: Self.now) == .invalid)
        }
        let header = Data(#"{"alg":"ES256"}"#.utf8)
        let claims = try JSONSerialization.data(withJSONObject: claims())
        #expect(
            verifier.verify(Array(try issuer.token(header: header, claims: claims).utf8), now: Self.now) == .invalid)
    }

    /// A key in the header, or where to find one.
    @Test func `a token does not choose how it is verified`() async throws {
        let forger = TestIssuer(keyID: "key-1")
        for header in [["jwk": forger.webKey()], ["jku": "https://evil.example/keys"], ["x5u": "https://evil.example"]]
            as [[String: any Sendable]]
        {
            let token = try forger.token(claims(), header: header)
            #expect(try await verifier().verify(Array(token.utf8), now: Self.now) == .invalid)
        }
    }

    @Test func `a token that is cut, changed or no token`() async throws {
        let (good, verifier) = (Array(try issuer.token(claims()).utf8), try await verifier())
        for length in 0..<good.count {
            #expect(verifier.verify(Array(good[..<length]), now: Self.now) == .invalid, "\(length)")
        }
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<2_000 {
            var bad = good
            let place = Int.random(in: 0..<good.count, using: &generator)
            bad[place] = UInt8.random(in: 0...255, using: &generator)
            let verdict = verifier.verify(bad, now: Self.now)
            #expect(verdict == .invalid || bad == good, "\(place): \(bad[place])")
        }
        for text in ["", ".", "..", "...", "a.b.c", "e30.e30.e30", String(repeating: "[", count: 8000)] {
            #expect(verifier.verify(Array(text.utf8), now: Self.now) == .invalid)
        }
        let deep = Data(String(repeating: "[", count: 5000).utf8)
        let header = Data(#"{"alg":"ES256","kid":"key-1"}"#.utf8)
        #expect(verifier.verify(Array(try issuer.token(header: header, claims: deep).utf8), now: Self.now) == .invalid)
    }
}

extension IssuedTokens {
    /// The verdict on a token whose key is not waited for.
    fileprivate func verify(_ token: [UInt8], now: Int) -> WebTokenVerdict? {
        if case .now(let verdict) = verify(token, now: now, on: EmbeddedEventLoop()) { verdict } else { nil }
    }
}
