import Glibc
import NIOSSL
import TransportSecurity

/// For how long the certificate that a client has shown is good.
///
/// It is verified in the handshake only, and a connection may be kept for days.
final class ClientCertificate {
    /// Unix time in seconds.
    private let notValidAfter: Int
    /// The authorities that it was verified with, as `ListenerTLS` counts them.
    private let authorities: Int
    /// Nil: it cannot be looked for in a list.
    private let identity: CertificateIdentity?
    /// The lists of revoked certificates in which it was looked for last, and not found.
    private var revocations: Int?

    init(_ certificate: NIOSSLCertificate, trustedBy authorities: Int) {
        notValidAfter = certificate.notValidAfter
        identity = CertificateIdentity(certificate)
        self.authorities = authorities
    }

    /// Whether it would be taken in a handshake now, as far as that can change while it is the same certificate.
    func isValid(_ loop: ListenerLoop) -> Bool {
        authorities == loop.authorities && time(nil) <= notValidAfter && !isRevoked(loop)
    }

    func isRevoked(_ loop: ListenerLoop) -> Bool {
        guard let tls = loop.tls else { return false }
        let current = tls.revocations
        if revocations == current { return false }
        if tls.isRevoked(identity) { return true }
        revocations = current
        return false
    }
}
