import GatewayCore
import GatewayUpstream
import NIOCore

/// What a region writes on a connection over HTTP/2, with three messages on their way. The first byte says where the rest is cut in two.
enum HTTP2ResponseFuzzing {
    static func answers(_ bytes: [UInt8]) {
        guard let cut = bytes.first else { return }
        let rest = bytes.dropFirst()
        let at = rest.startIndex + Int(cut) * rest.count / 256
        let whole = outcome([rest])
        let parts = outcome([rest[..<at], rest[at...]])
        promise(whole == parts, "an outcome depends on where the bytes are cut: \(whole), \(parts)")
    }

    private final class Message: UpstreamReceiver {
        let owner = 0
        let skill = 0
        let deadline = NIODeadline.distantFuture
        func upstreamLeased(_ result: Result<any UpstreamConnection, UpstreamUnavailable>) {}
        func upstreamStillAwaited(now: NIODeadline) {}
        func upstreamResponded(_ answer: UpstreamResponse) {}
        func upstreamFailed(_ failure: UpstreamFailure) {}
        func upstreamEnded(late answer: UpstreamResponse?) {}
    }

    /// What the messages were told, by their places.
    private static func outcome(_ parts: [ArraySlice<UInt8>]) -> [String] {
        guard let endpoint = try? APIEndpoint(parsing: "https://h"),
            let user = try? UserID(parsing: 0..<1, of: ByteBuffer(string: "u"))
        else { return [] }
        let writer = HTTP2RequestWriter(endpoint: endpoint, userAgent: "fuzz")
        var state = HTTP2ClientState(writer: writer, streamsAtOnce: 3)
        let request = UpstreamRequest(
            user: user, token: AccessToken("t", generation: 1, expires: .distantFuture),
            content: ByteBuffer(string: "{}"))
        let messages = (0..<3).map { _ in Message() }
        var told = messages.map { _ in [String]() }
        var now = NIODeadline.uptimeNanoseconds(1)
        func tell(_ receiver: any UpstreamReceiver, _ text: String) {
            for place in messages.indices where messages[place] === receiver { told[place].append(text) }
        }
        func perform() {
            while let action = state.actions.popFirst() {
                switch action {
                case .established:
                    for message in messages {
                        promise(
                            state.send(request, limit: .distantFuture, receiver: message, now: now),
                            "a connection that is established takes no message")
                    }
                case .responded(let receiver, let answer, _):
                    promise(HTTPFuzzing.isPassable(answer), "an answer that cannot be passed on")
                    tell(receiver, "\(answer.status) \(answer.requestID.map { "\($0)" } ?? "")")
                case .failed(let receiver, let failure, _): tell(receiver, "\(failure)")
                case .changed, .drains, .timedOut, .stillAwaited, .close: break
                }
            }
        }
        // The settings come first, so that most of the bytes are about messages.
        var settings = ByteBuffer()
        settings.writeSettings([])
        do {
            try state.receive(settings, now: now)
            perform()
            for part in parts {
                now = now + .seconds(2)
                try state.receive(ByteBuffer(bytes: part), now: now)
                perform()
                promise(state.output.readableBytes < 16 * (bytes(parts) + 1_000), "more is written than was read")
            }
        } catch {
            perform()
        }
        state.end(.connectionLost)
        perform()
        for texts in told { promise(texts.count <= 1, "a message is told \(texts)") }
        return told.map { $0.first ?? "" }
    }

    private static func bytes(_ parts: [ArraySlice<UInt8>]) -> Int { parts.reduce(0) { $0 + $1.count } }
}
