import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// Why there is no connection, or no longer, for people.
func words(for error: any Error) -> String {
    switch error {
    case let error as NIOConnectionError:
        error.connectionErrors.first.map { words(for: $0.error) } ?? "the host name cannot be resolved"
    case let error as IOError: String(cString: strerror(error.errnoCode))
    case ChannelError.connectTimeout: "connecting timed out"
    case NIOSSLError.handshakeFailed: "the TLS handshake failed; is this a TLS port?"
    case NIOSSLError.uncleanShutdown: "the server closed the connection"
    case is NIOSSLError, is BoringSSLError: "no trusted TLS connection"
    case is NIOSSLExtraError: "the certificate is not that of this host"
    default: "\(error)"
    }
}
