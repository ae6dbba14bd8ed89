import Glibc
import NIOSSL

/// For how long the certificate that a client has shown is good.
///
/// It is verified in the handshake only, and a connection may be kept for days.
struct ClientCertificate {
    /// Unix time in seconds.
    private let notValidAfter: Int
    /// The authorities that it was verified with, as `ListenerTLS` counts them.
    private let authorities: Int

    init(_ certificate: NIOSSLCertificate, trustedBy authorities: Int) {
        notValidAfter = certificate.notValidAfter
        self.authorities = authorities
    }

    /// Whether it would be taken in a handshake now, as far as that can change while it is the same certificate.
    func isValid(_ loop: ListenerLoop) -> Bool {
        authorities == loop.authorities && time(nil) <= notValidAfter
    }
}
