import Glibc
import Synchronization

/// Listening sockets that the service manager has opened, by name: `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID`, as
/// sd_listen_fds(3) describes them. They outlive the process, so that no connection is refused while one takes over from another.
package final class InheritedSockets: Sendable {
    private static let firstDescriptor: CInt = 3

    private let descriptors: Mutex<[String: CInt]>

    /// - Parameters:
    ///   - environment: of this process.
    ///   - process: its id; sockets that were meant for another are none of ours.
    package init(environment: [String: String], process: Int32 = getpid()) {
        var named: [String: CInt] = [:]
        if environment["LISTEN_PID"].flatMap({ Int32($0) }) == process,
            let count = environment["LISTEN_FDS"].flatMap({ CInt($0) }), (1...1024).contains(count)
        {
            let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
            for index in 0..<Int(count) {
                let descriptor = Self.firstDescriptor + CInt(index)
                // Of several with one name the first counts; the others cannot be told from it.
                let name = index < names.count ? String(names[index]) : "unknown"
                if fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 && named[name] == nil { named[name] = descriptor }
            }
        }
        descriptors = Mutex(named)
    }

    package var names: [String] { descriptors.withLock { $0.keys.sorted() } }

    /// A listening socket for whoever asks first; it is the asker's to close.
    func take(_ name: String) throws(ListeningError) -> CInt {
        guard let descriptor = descriptors.withLock({ $0.removeValue(forKey: name) }) else {
            let known = names.isEmpty ? "none" : names.map { "`\($0)`" }.joined(separator: ", ")
            throw ListeningError(
                "cannot listen on systemd:\(name): no such socket was passed to the process, or it is used twice; passed: \(known)"
            )
        }
        var isListening: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0, isListening == 1 else {
            throw ListeningError("cannot listen on systemd:\(name): it is not a listening stream socket")
        }
        return descriptor
    }
}
