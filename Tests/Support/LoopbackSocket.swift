import Glibc

/// A TCP socket bound to a free port of 127.0.0.1.
package struct LoopbackSocket: Sendable {
    package let descriptor: Int32
    package let port: Int

    package init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard isBound else {
            close(descriptor)
            throw RunningProcess.Failure(description: "no free port")
        }
        port = Int(UInt16(bigEndian: address.sin_port))
    }
}

/// Ports that nothing listens on.
package enum FreePort {
    package static func find() throws -> Int {
        let socket = try LoopbackSocket()
        close(socket.descriptor)
        return socket.port
    }
}
