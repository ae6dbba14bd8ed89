import GatewayCore
import NIOCore

@testable import GatewayServer

/// What a client writes on a connection over HTTP/2. The first byte says where the rest is cut in two.
enum HTTP2RequestFuzzing {
    private static let streams = 3
    private static let contentBytes = 100
    private static let answer = ByteBuffer(string: "HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n0123456789")
    private static let refusal = ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    static func requests(_ bytes: [UInt8]) {
        guard let cut = bytes.first else { return }
        let rest = bytes.dropFirst()
        let at = rest.startIndex + Int(cut) * rest.count / 256
        // Answered at once, and never.
        for answers in [true, false] {
            let whole = outcome([rest], answers: answers)
            let parts = outcome([rest[..<at], rest[at...]], answers: answers)
            promise(whole == parts, "an outcome depends on where the bytes are cut: \(whole), \(parts)")
        }
    }

    /// What was asked for, in its order, and how it ended.
    private static func outcome(_ parts: [ArraySlice<UInt8>], answers: Bool) -> [String] {
        var limits = HTTP2ServerState.Limits()
        limits.streams = streams
        limits.requests.contentBytes = contentBytes
        let timeouts = HTTPConnectionState.Timeouts(
            head: .seconds(5), content: .seconds(10), idle: .seconds(75), write: .seconds(10))
        let now = NIODeadline.uptimeNanoseconds(1)
        var state = HTTP2ServerState(limits: limits, timeouts, now: now)
        var told: [String] = []
        var handled: Set<UInt32> = []
        func perform() {
            while let action = state.actions.popFirst() {
                switch action {
                case .request(let request, let stream):
                    promise(handled.insert(stream).inserted, "stream \(stream) brings two requests")
                    promise(request.content.readableBytes <= contentBytes, "a content is larger than allowed")
                    told.append("\(stream) \(request.path) \(String(buffer: request.content))")
                    if answers { state.respond(answer, stream: stream, now: now) }
                case .refused(let refused, _, let stream):
                    promise(!handled.contains(stream), "stream \(stream) is refused though it is handled")
                    told.append("\(stream) \(refused.problem)")
                    state.respond(refusal, stream: stream, now: now)
                case .begun(_, let stream, let expectsContinue):
                    if expectsContinue { state.continues(stream: stream) }
                case .close: told.append("close")
                }
            }
            promise(state.openStreams <= streams, "there are \(state.openStreams) streams")
            promise(
                state.unfinished >= 0 && state.unfinished <= streams * (contentBytes + limits.requests.headBytes),
                "what is not whole is miscounted")
        }
        // The preface comes first, so that most of the bytes are about requests.
        var start = HTTP2Frame.preface
        start.writeSettings([])
        for part in [start] + parts.map({ ByteBuffer(bytes: $0) }) {
            state.receive(part)
            while state.next(now: now) { perform() }
            state.readEnded()
            perform()
        }
        if !answers && !state.isClosed {
            promise(handled.count <= streams, "more is handled at once than allowed")
        }
        // However it ends, it does.
        state.announceEnd(now: now)
        for stream in handled { state.respond(answer, stream: stream, now: now) }
        state.timePassed(now: now + .seconds(11))
        perform()
        state.timePassed(now: now + .seconds(22))
        perform()
        promise(state.isClosed, "the connection does not end")
        promise(told.count { $0 == "close" } == 1, "the connection is closed \(told)")
        return told
    }
}
