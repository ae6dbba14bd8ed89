import Glibc
import Synchronization
import TestSupport

/// An upstream that speaks just enough HTTP/2, without TLS, to take one request, and cuts the connection where it is told to.
final class CuttingHTTP2Server: Sendable {
    enum Cut: Sendable {
        /// So many bytes of the request are read.
        case request(after: Int)
        /// The request is read whole, and these bytes are the answer.
        case answer([UInt8])
    }

    private struct State {
        /// For the connections to come; the last is for all others.
        var cuts: [Cut] = []
        var requests = 0
        var lastRequestLength = 0
    }

    static let accepted = headers(
        [("x-amzn-requestid", "0d29c856-00aa-11ef-9262-0242ac120002")], status: 202, ends: true)
    static let refused =
        headers([("content-type", "application/json")], status: 400, ends: false)
        + frame(0x0, 0x1, stream: 1, Array(#"{"message":"x"}"#.utf8))

    private let listener: ThreadedListener
    private let state = Mutex(State())

    init() throws {
        listener = try ThreadedListener()
        listener.start { self.serve($0) }
    }

    var port: Int { listener.port }

    func stop() { listener.stop() }

    func cut(_ cuts: Cut...) { state.withLock { $0.cuts = cuts } }

    /// Requests of which a byte came.
    var requests: Int { state.withLock { $0.requests } }
    var lastRequestLength: Int { state.withLock { $0.lastRequestLength } }

    // MARK: Frames

    static func frame(_ kind: UInt8, _ flags: UInt8, stream: UInt8, _ payload: [UInt8] = []) -> [UInt8] {
        [0, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF), kind, flags, 0, 0, 0, stream] + payload
    }

    /// A response's head on stream 1: literals that are not remembered (RFC 7541 section 6.2.2).
    static func headers(_ fields: [(String, String)], status: Int, ends: Bool) -> [UInt8] {
        var block: [UInt8] = [0x08, 3] + Array("\(status)".utf8)
        for (name, value) in fields {
            block += [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        return frame(0x1, ends ? 0x5 : 0x4, stream: 1, block)
    }

    static func goAway(last stream: UInt8) -> [UInt8] {
        frame(0x7, 0, stream: 0, [0, 0, 0, stream, 0, 0, 0, 0])
    }

    static func reset(_ code: UInt8) -> [UInt8] { frame(0x3, 0, stream: 1, [0, 0, 0, code]) }

    // MARK: Connections

    private func serve(_ connection: Int32) {
        write(Self.frame(0x4, 0, stream: 0), to: connection)
        guard read(24, from: connection) != nil else { return }
        // The client's settings, its window, and its word on ours; what comes behind is the request.
        while let frame = readFrame(connection) { if frame.kind == 0x4 && frame.flags == 0x1 { break } }
        var waiting = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
        poll(&waiting, 1, -1)
        var first: UInt8 = 0
        // A second connection may never be used.
        guard recv(connection, &first, 1, Int32(MSG_PEEK)) == 1 else { return }
        let cut = state.withLock { state -> Cut in
            state.requests += 1
            return state.cuts.count > 1 ? state.cuts.removeFirst() : state.cuts.first ?? .request(after: 0)
        }
        switch cut {
        case .request(let count): _ = count > 0 ? read(count, from: connection) : nil
        case .answer(let bytes):
            var length = 0
            while let frame = readFrame(connection) {
                length += frame.length
                if frame.kind == 0x0 && frame.flags & 0x1 != 0 { break }
            }
            state.withLock { $0.lastRequestLength = length }
            write(bytes, to: connection)
        }
        // Not before the client has read what was written: with unread bytes, closing would be a reset.
        shutdown(connection, Int32(SHUT_WR))
        while read(1, from: connection) != nil {}
    }

    private func readFrame(_ connection: Int32) -> (kind: UInt8, flags: UInt8, length: Int)? {
        guard let head = read(9, from: connection) else { return nil }
        let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        guard length == 0 || read(length, from: connection) != nil else { return nil }
        return (head[3], head[4], 9 + length)
    }

    private func read(_ count: Int, from connection: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return recv(connection, &bytes, count, Int32(MSG_WAITALL)) == count ? bytes : nil
    }

    private func write(_ bytes: [UInt8], to connection: Int32) {
        if !bytes.isEmpty { send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
    }
}
