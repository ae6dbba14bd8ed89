import Foundation
import Glibc
import Synchronization
import TestSupport

/// An upstream that cuts the connection where it is told to: after so many bytes of the request, or of its answer.
final class CuttingServer: Sendable {
    enum Cut: Sendable {
        /// The request is read up to here, and not answered.
        case request(after: Int)
        /// The request is read whole, and answered up to here.
        case answer(String, after: Int, byReset: Bool)
        /// The request is read, and nothing happens.
        case silence
    }

    private struct State {
        var cut = Cut.request(after: 0)
        var requests = 0
        var lastRequest: [UInt8] = []
    }

    private let listener: ThreadedListener
    private let state = Mutex(State())

    init(on host: String = "127.0.0.1", port: Int = 0) throws {
        listener = try ThreadedListener(on: host, port: port)
        listener.start { self.serve($0) }
    }

    var port: Int { listener.port }

    func stop() { listener.stop() }

    func cut(_ cut: Cut) { state.withLock { $0.cut = cut } }

    /// Requests of which a byte came.
    var requests: Int { state.withLock { $0.requests } }
    var lastRequestLength: Int { state.withLock { $0.lastRequest.count } }

    /// One request, one answer at most; then the end.
    private func serve(_ connection: Int32) {
        // A connection is opened before it is known what is sent on it, and may never be used.
        var waiting = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
        poll(&waiting, 1, -1)
        var first: UInt8 = 0
        guard recv(connection, &first, 1, Int32(MSG_PEEK)) == 1 else { return }
        let cut = state.withLock { state in
            state.requests += 1
            return state.cut
        }
        switch cut {
        case .request(let count):
            var bytes = [UInt8](repeating: 0, count: max(1, count))
            if count > 0 { recv(connection, &bytes, count, Int32(MSG_WAITALL)) }
        case .silence:
            var byte: UInt8 = 0
            while recv(connection, &byte, 1, 0) > 0 {}
        case .answer(let answer, let count, let byReset):
            let request = readRequest(connection)
            state.withLock { $0.lastRequest = request }
            let bytes = Array(answer.utf8.prefix(count))
            if !bytes.isEmpty { send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
            if byReset {
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
            }
        }
    }

    private func readRequest(_ connection: Int32) -> [UInt8] {
        var request: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let text = String(decoding: request, as: UTF8.self)
            if text.hasPrefix("GET ") && text.hasSuffix("\r\n\r\n") { return request }
            if let head = text.range(of: "\r\n\r\n"), let field = text.range(of: "Content-Length: ") {
                let length = Int(text[field.upperBound...].prefix { $0.isNumber }) ?? 0
                if text[head.upperBound...].utf8.count >= length { return request }
            }
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return request }
            request += chunk[..<count]
        }
    }
}
