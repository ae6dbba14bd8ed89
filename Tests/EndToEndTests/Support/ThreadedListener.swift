import Foundation
import Glibc
import TestSupport

/// Listens on this machine, and serves each connection on a thread of its own.
struct ThreadedListener: Sendable {
    let port: Int
    private let descriptor: Int32

    init(on host: String = "127.0.0.1", port wanted: Int = 0) throws {
        let socket = try LoopbackSocket(on: host, port: wanted)
        (descriptor, port) = (socket.descriptor, socket.port)
        guard listen(descriptor, 64) == 0 else { throw RunningProcess.Failure(description: "cannot listen") }
    }

    /// - Parameter serve: a connection, which is closed behind it.
    func start(_ serve: @escaping @Sendable (Int32) -> Void) {
        Thread.detachNewThread { [descriptor] in
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0 else { break }
                Thread.detachNewThread {
                    serve(connection)
                    close(connection)
                }
            }
            close(descriptor)
        }
    }

    func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}
