import Foundation
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import GatewayCore
@testable import WebTokens

@Suite struct WebTokenAuthenticationTests {
    private static let now = 1_800_000_000
    private static let subject = "system:serviceaccount:shop:orders"
    private let issuer = TestIssuer()
    private let peer = Peer()

    /// One issuer, whose keys are replaced by `later` when a key is missed, and one caller of each of these subjects.
    private func directory(
        _ keys: KeySet, then later: KeySet? = nil, on loop: EmbeddedEventLoop, subjects: [String] = [Self.subject]
    ) -> CallerDirectory {
        let generation = KeyGeneration()
        var source: IssuerKeys.Fetch?
        if let later { source = { $0.makeSucceededFuture(later) } }
        let issued = IssuedTokens(
            [
                .init(
                    issuer: "https://issuer.example", audiences: ["skillgate"],
                    keys: IssuerKeys(keys, algorithms: [.es256], fetch: source, eventLoop: loop, generation: generation)
                )
            ], generation: generation)
        let entries = subjects.enumerated().map { index, subject in
            CallerDirectory.Entry(
                Caller(index: index, name: subject, skills: [0]),
                webTokens: [WebTokenIdentity(issuer: "https://issuer.example", subject: subject)])
        }
        return CallerDirectory(entries, webTokens: issued)
    }

    private func keys(_ issuers: TestIssuer...) async throws -> KeySet {
        let set = try JSONSerialization.data(withJSONObject: ["keys": issuers.map { $0.webKey() }])
        return try await KeySet(Array(set), algorithms: [.es256])
    }

    private func token(_ number: Int = 0, subject: String = Self.subject) throws -> [UInt8] {
        var claims = TestIssuer.claims(subject: subject, now: Self.now)
        claims["jti"] = "\(number)"
        return Array(try issuer.token(claims).utf8)
    }

    private func caller(
        _ token: [UInt8], _ authentication: WebTokenAuthentication, _ directory: CallerDirectory, now: Int = Self.now
    ) throws -> String? {
        let digest = token.withUnsafeBytes { APIKeyDigest(of: $0) }
        var result: Result<WebTokenAuthentication.Outcome, CallerError>?
        authentication.authenticate(token, digest, from: peer, in: directory, atMost: .seconds(2), now: now) {
            result = $0
        }
        return try #require(result).get().caller?.name
    }

    @Test func `so many bad tokens are looked at, and what is known is known on every loop`() async throws {
        try bounded(try await keys(issuer))
    }

    private func bounded(_ keys: KeySet) throws {
        let loop = EmbeddedEventLoop()
        let directory = directory(keys, on: loop)
        let shared = SharedWebTokens(bad: NetworkThrottle(limit: RateLimit(perSecond: 1, burst: 3)))
        let authentication = WebTokenAuthentication(on: loop, shared)
        let known = try token()
        // Good ones do not count.
        #expect(try caller(known, authentication, directory) == Self.subject)
        for number in 0..<100 { #expect(try caller(token(number), authentication, directory) == Self.subject) }
        for text in ["a.b.c", "d.e.f"] { #expect(try caller(Array(text.utf8), authentication, directory) == nil) }
        #expect(try caller(token(1, subject: "somebody"), authentication, directory) == nil)
        let error = #expect(throws: CallerError.self) { try caller(token(100), authentication, directory) }
        #expect(error?.reason == .tooManyBadTokens && error?.retryAfter == .seconds(1))
        let other = WebTokenAuthentication(on: loop, shared)
        #expect(try caller(known, authentication, directory) == Self.subject)
        #expect(try caller(known, other, directory) == Self.subject)
        loop.advanceTime(by: .seconds(1))
        #expect(try caller(token(100), other, directory) == Self.subject)
        // Its time is over.
        loop.advanceTime(by: .seconds(3700))
        #expect(try caller(known, authentication, directory, now: Self.now + 3700) == nil)
    }

    @Test func `a key that is gone takes its tokens along`() async throws {
        try gone(try await keys(issuer), then: try await keys(TestIssuer(keyID: "key-2")))
    }

    private func gone(_ keys: KeySet, then later: KeySet) throws {
        let loop = EmbeddedEventLoop()
        let directory = directory(keys, then: later, on: loop)
        let authentication = WebTokenAuthentication(on: loop, SharedWebTokens())
        let token = try token()
        #expect(try caller(token, authentication, directory) == Self.subject)
        let other = try TestIssuer(keyID: "key-2").token(TestIssuer.claims(now: Self.now))
        // The set is fetched for it, and its key is another's of the same name.
        #expect(try caller(Array(other.utf8), authentication, directory) == nil)
        // A second later the set can be fetched again, which still lacks the key.
        loop.advanceTime(by: .seconds(1))
        #expect(try caller(token, authentication, directory) == nil)
    }

    @Test func `a caller with ever new tokens pushes out its own`() async throws {
        try pushedOut(try await keys(issuer))
    }

    private func pushedOut(_ keys: KeySet) throws {
        let directory = directory(keys, on: EmbeddedEventLoop())
        let origin = VerifiedWebTokens.Origin(try #require(directory.webTokens))
        var verified = VerifiedWebTokens()
        func digest(_ text: String) -> APIKeyDigest { APIKeyDigest(of: text) }
        func entry(_ subject: String) -> VerifiedWebTokens.Entry {
            .init(identity: WebTokenIdentity(issuer: "issuer", subject: subject), until: 100)
        }
        verified.insert(digest("other"), entry("other"), origin)
        for number in 0..<1000 {
            verified.insert(digest("\(number)"), entry("noisy"), origin)
            // Once more is not another one.
            verified.insert(digest("\(number)"), entry("noisy"), origin)
        }
        #expect(verified.count == VerifiedWebTokens.maximumPerIdentity + 1)
        #expect(verified.entry(digest("other"), origin, now: 99)?.identity.subject == "other")
        #expect(verified.entry(digest("other"), origin, now: 100) == nil)
        let kept = (0..<1000).filter { verified.entry(digest("\($0)"), origin, now: 0) != nil }
        #expect(kept == Array(1000 - VerifiedWebTokens.maximumPerIdentity..<1000))
    }
}
