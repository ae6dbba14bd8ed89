import Glibc
import NIOCore

/// Why nobody can listen at an address, in words.
package struct ListeningError: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }

    /// - Parameters:
    ///   - address: as people write it.
    ///   - error: what binding a socket there threw.
    package init(_ address: String, _ error: any Error) {
        let reason =
            switch (error as? IOError)?.errnoCode {
            case EADDRINUSE: "it is in use"
            case EADDRNOTAVAIL: "it is not an address of this machine"
            case EACCES: "permission denied (ports below 1024 require root or CAP_NET_BIND_SERVICE)"
            case let code?: String(cString: strerror(code))
            case nil where error is SocketAddressError || error is SocketAddressError.UnknownHost:
                "its host has no address"
            case nil: "\(error)"
            }
        description = "cannot listen on \(address): \(reason)"
    }
}
