package import NIOCore

/// To whom a JSON Web Token was issued, and by whom (RFC 7519 sections 4.1.1 and 4.1.2).
package struct WebTokenIdentity: Hashable, Sendable {
    /// The claim `iss`, as it is.
    package var issuer: String
    /// The claim `sub`, as it is.
    package var subject: String

    package init(issuer: String, subject: String) {
        self.issuer = issuer
        self.subject = subject
    }
}

package enum WebTokenVerdict: Equatable, Sendable {
    /// - Parameter until: Unix time in seconds from which on it is valid no longer.
    case valid(WebTokenIdentity, until: Int)
    /// Why is told to nobody: whoever made it up would learn from it.
    case invalid
    /// It names a key that is not here, and its issuer cannot be asked for it.
    case keyUnavailable(retryAfter: Duration)
}

/// Verifies JSON Web Tokens with the keys of their issuers. Shared by all event loops.
package protocol WebTokenVerifier: AnyObject, Sendable {
    /// Another number than before: a token that was valid may be so no longer, since its key is gone.
    var generation: Int { get }

    /// Verifies a token; later if its key has to be fetched, which may take as long as the issuer takes.
    ///
    /// - Parameters:
    ///   - token: the whole token, of any length and content.
    ///   - now: Unix time in seconds.
    func verify(_ token: [UInt8], now: Int, on eventLoop: any EventLoop) -> Eventual<WebTokenVerdict>
}
