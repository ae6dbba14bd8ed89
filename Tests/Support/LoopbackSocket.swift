import Glibc
import Synchronization

/// A TCP socket bound to a free port of a loopback address.
package struct LoopbackSocket: Sendable {
    package let descriptor: Int32
    package let port: Int

    package init(on host: String = "127.0.0.1", port wanted: Int = 0) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr(host)
        address.sin_port = UInt16(clamping: wanted).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard isBound else {
            Glibc.close(descriptor)
            throw RunningProcess.Failure(description: "no free port")
        }
        port = Int(UInt16(bigEndian: address.sin_port))
    }
}

extension LoopbackSocket {
    /// Connects to a port.
    ///
    /// - Parameters:
    ///   - target: of which address.
    ///   - host: from which address.
    package init(connectedTo port: Int, of target: String = "127.0.0.1", from host: String = "127.0.0.1") throws {
        try self.init(on: host)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(clamping: port).bigEndian
        address.sin_addr.s_addr = inet_addr(target)
        let descriptor = descriptor
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                connect(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else {
            Glibc.close(descriptor)
            throw RunningProcess.Failure(description: "no connection to port \(port)")
        }
    }

    /// Writes `text` again and again and reads nothing, until the other end closes the connection; false if it does not in this time.
    package func writeUntilClosed(_ text: String, atMost limit: Duration) -> Bool {
        let end = ContinuousClock.now + limit
        let bytes = Array(text.utf8)
        while ContinuousClock.now < end {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&waiting, 1, 100) > 0 else { continue }
            if Int32(waiting.revents) & (POLLERR | POLLHUP) != 0 { return true }
            let flags = Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
            if send(descriptor, bytes, bytes.count, flags) < 0, errno != EAGAIN, errno != EINTR { return true }
        }
        return false
    }

    package func close() {
        Glibc.close(descriptor)
    }
}

/// Ports that nothing listens on.
package enum FreePort {
    /// Below those that the system gives to connections, one of which would take it before it is listened on (Linux: from 32,768 on). So
    /// is the port that a node of a Redis Cluster listens on besides, 10,000 above its own.
    private static let range = 10_000..<20_000
    /// One after the other, so that none is found twice before somebody listens on it.
    private static let next = Atomic<Int>(Int.random(in: range))

    package static func find() throws -> Int {
        for _ in 0..<100 {
            let number = next.add(1, ordering: .relaxed).oldValue - range.lowerBound
            guard let socket = try? LoopbackSocket(port: range.lowerBound + number % range.count) else { continue }
            socket.close()
            return socket.port
        }
        throw RunningProcess.Failure(description: "no free port")
    }
}
