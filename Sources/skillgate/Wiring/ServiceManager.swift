import Glibc
import NIOCore

/// Tells the service manager how the process is, as sd_notify(3) describes it. Nothing is said where nobody listens.
struct ServiceManager: Sendable {
    enum State: Sendable {
        /// Connections are accepted.
        case ready
        case reloading
        case stopping

        fileprivate var text: String {
            switch self {
            case .ready: "READY=1"
            case .stopping: "STOPPING=1"
            case .reloading:
                // The manager tells this reload from others by its time.
                "RELOADING=1\nMONOTONIC_USEC=\(Self.monotonicMicroseconds)"
            }
        }

        private static var monotonicMicroseconds: Int {
            // On Linux it counts by CLOCK_MONOTONIC, as the manager does.
            Int(clamping: NIODeadline.now().uptimeNanoseconds / 1000)
        }
    }

    private let path: String?

    init(environment: [String: String]) {
        path = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
    }

    func tell(_ state: State) {
        guard let path else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // A name that begins with `@` is one of the abstract name space, which has a zero there.
        let name = Array(path.utf8)
        let size = MemoryLayout.size(ofValue: address.sun_path)
        guard name.count < size else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: name)
            if name.first == UInt8(ascii: "@") { bytes[0] = 0 }
        }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size - size + name.count)
        let text = Array(state.text.utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = sendto(descriptor, text, text.count, Int32(MSG_NOSIGNAL), address, length)
            }
        }
    }
}
