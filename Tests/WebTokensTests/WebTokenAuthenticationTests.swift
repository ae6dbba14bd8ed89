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
                    keys: IssuerKeys(keys, fetch: source, eventLoop: loop, generation: generation))
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
        return try authentication.caller(of: token, digest, from: peer, in: directory, now: now)?.caller.name
    }

    @Test func `a token is verified once, and only so many from one place`() async throws {
        try once(try await keys(issuer))
    }

    private func once(_ keys: KeySet) throws {
        let loop = EmbeddedEventLoop()
        let directory = directory(keys, on: loop)
        let authentication = WebTokenAuthentication(
            on: loop, unverified: NetworkThrottle(limit: RateLimit(perSecond: 1, burst: 3)))
        let token = try token()
        for _ in 0..<100 { #expect(try caller(token, authentication, directory) == Self.subject) }
        // Two more, whatever they are.
        #expect(try caller(self.token(1, subject: "somebody"), authentication, directory) == nil)
        #expect(try caller(Array("a.b.c".utf8), authentication, directory) == nil)
        let error = #expect(throws: CallerError.self) { try caller(self.token(2), authentication, directory) }
        #expect(error?.reason == .tooManyUnverifiedTokens && error?.retryAfter == .seconds(1))
        #expect(try caller(token, authentication, directory) == Self.subject)
        // Its time is over.
        loop.advanceTime(by: .seconds(3700))
        #expect(try caller(token, authentication, directory, now: Self.now + 3700) == nil)
    }

    @Test func `a key that is gone takes its tokens along`() async throws {
        try gone(try await keys(issuer), then: try await keys(TestIssuer(keyID: "key-2")))
    }

    private func gone(_ keys: KeySet, then later: KeySet) throws {
        let loop = EmbeddedEventLoop()
        let directory = directory(keys, then: later, on: loop)
        let authentication = WebTokenAuthentication(on: loop, unverified: .ofUnverifiedTokens())
        let token = try token()
        #expect(try caller(token, authentication, directory) == Self.subject)
        let other = try TestIssuer(keyID: "key-2").token(TestIssuer.claims(now: Self.now))
        #expect(directory.webTokens?.missingKey(of: Array(other.utf8), on: loop) != nil)
        loop.run()
        #expect(try caller(token, authentication, directory) == nil)
    }

    @Test func `a caller with ever new tokens pushes out its own`() {
        var verified = VerifiedWebTokens()
        func digest(_ text: String) -> APIKeyDigest { APIKeyDigest(of: text) }
        verified.insert(digest("other"), of: 1, until: 100)
        for number in 0..<1000 {
            verified.insert(digest("\(number)"), of: 0, until: 100)
            // Once more is not another one.
            verified.insert(digest("\(number)"), of: 0, until: 100)
        }
        #expect(verified.count == VerifiedWebTokens.maximumPerCaller + 1)
        #expect(verified.caller(of: digest("other"), now: 99)?.index == 1)
        #expect(verified.caller(of: digest("other"), now: 100) == nil)
        let kept = (0..<1000).filter { verified.caller(of: digest("\($0)"), now: 0)?.index == 0 }
        #expect(kept == Array(1000 - VerifiedWebTokens.maximumPerCaller..<1000))
    }
}
