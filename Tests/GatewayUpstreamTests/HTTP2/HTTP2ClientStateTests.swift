import GatewayCore
import NIOCore
import NIOHPACK
import Testing

@testable import GatewayUpstream

@Suite struct HTTP2ClientStateTests {
    private typealias Peer = ScriptedHTTP2Peer

    /// A client and its peer, with time in the test's hands.
    private struct Bed {
        var state: HTTP2ClientState
        var peer = Peer()
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        /// What the pool would be told, in words.
        var events: [String] = []

        init(streams: Int = 100, _ settings: ByteBuffer? = Peer.settings()) throws {
            let endpoint = try APIEndpoint(parsing: "https://api.eu.amazonalexa.com")
            state = HTTP2ClientState(
                writer: HTTP2RequestWriter(endpoint: endpoint, userAgent: "test"), streamsAtOnce: streams)
            try peer.read(&state.output)
            if let settings { try receive(settings) }
        }

        mutating func send(_ user: String = "u", content: String = #"{"data":{}}"#, _ message: Message = Message())
            -> Message
        {
            let limit = now + .seconds(10)
            message.deadline = min(message.deadline, limit)
            let request = SampleRequest.of(user: user, content: content)
            if !state.send(request, limit: limit, receiver: message, now: now) { message.unavailable = .connectionLost }
            try? peer.read(&state.output)
            return message
        }

        mutating func receive(_ bytes: ByteBuffer) throws {
            try state.receive(bytes, now: now)
            perform()
            try peer.read(&state.output)
        }

        mutating func end(_ failure: UpstreamFailure) {
            state.end(failure)
            perform()
        }

        mutating func pass(_ time: TimeAmount) throws {
            now = now + time
            state.timePassed(now: now)
            perform()
            try peer.read(&state.output)
        }

        private mutating func perform() {
            while let action = state.actions.popFirst() {
                switch action {
                case .established(let streams): events.append("established \(streams)")
                case .changed(let streams): events.append("changed \(streams)")
                case .drains: events.append("drains")
                case .close: events.append("close")
                case .responded(let receiver, let answer, let isLate):
                    if isLate { receiver.upstreamEnded(late: answer) } else { receiver.upstreamResponded(answer) }
                case .failed(let receiver, let failure, let isLate):
                    if isLate { receiver.upstreamEnded(late: nil) } else { receiver.upstreamFailed(failure) }
                case .timedOut(let receiver): receiver.upstreamFailed(.timeout)
                case .stillAwaited(let receiver): receiver.upstreamStillAwaited(now: now)
                }
            }
        }
    }

    // MARK: Start

    @Test func `it says what it takes, and takes messages once the peer has said so, too`() throws {
        var bed = try Bed(streams: 100, nil)
        #expect(
            bed.peer.settings == [2: 0, 4: 131_072, 6: 16_384] && bed.peer.windowUpdates == [0: (1 << 20) - 65_535])
        #expect(bed.send().unavailable == .connectionLost)
        try bed.receive(Peer.settings((.maximumConcurrentStreams, 20)))
        #expect(bed.events == ["established 20"] && bed.peer.settingsAcknowledged == 1)
        try bed.receive(Peer.settings((.maximumConcurrentStreams, 500)))
        try bed.receive(Peer.settings((.maximumConcurrentStreams, 0)))
        #expect(bed.events == ["established 20", "changed 100", "changed 0"])
    }

    @Test func `a peer that takes no message is not there yet`() throws {
        var bed = try Bed(Peer.settings((.maximumConcurrentStreams, 0)))
        #expect(bed.events.isEmpty && bed.peer.settingsAcknowledged == 1)
        try bed.receive(Peer.settings((.maximumConcurrentStreams, 2)))
        #expect(bed.events == ["established 2"])
        let messages = (0..<3).map { _ in bed.send() }
        #expect(messages.map { $0.unavailable } == [nil, nil, .connectionLost], "never more than it takes")
        try bed.receive(Peer.settings((.maximumConcurrentStreams, 1)) + bed.peer.accepted(1))
        #expect(bed.send().unavailable == .connectionLost)
        var leaving = try Bed(Peer.settings((.maximumConcurrentStreams, 0)) + Peer.goAway(last: 0))
        #expect(leaving.events == ["close"] && leaving.send().unavailable != nil)
    }

    // MARK: Responses

    @Test func `messages are answered in any order, each once`() throws {
        var bed = try Bed()
        let messages = ["a", "b", "c"].map { bed.send($0) }
        #expect(bed.peer.requests.map(\.key).sorted() == [1, 3, 5])
        #expect(
            bed.peer.requests[3]
                == Peer.Request(path: "/v1/skillmessages/users/b", content: #"{"data":{}}"#, isComplete: true))
        try bed.receive(bed.peer.accepted(5, id: "third") + bed.peer.accepted(1, id: "first"))
        try bed.receive(
            bed.peer.head(3, [(":status", "429"), ("retry-after", "7"), ("content-type", "application/json")]))
        #expect(messages.map { $0.answer?.status } == [202, nil, 202])
        try bed.receive(Peer.data(3, "{", ends: false) + Peer.data(3, "}"))
        #expect(messages.map { $0.answer?.status } == [202, 429, 202] && bed.state.count == 0)
        #expect(messages[0].answer?.requestID == .text("first") && messages[2].answer?.requestID == .text("third"))
        let refused = messages[1].answer
        #expect(refused?.retryAfter == "7" && refused?.contentType == "application/json")
        #expect(refused.map { String(buffer: $0.content) } == "{}")
        try bed.receive(bed.peer.accepted(1) + Peer.reset(3, .cancel) + Peer.data(5, "late"))
        #expect(bed.state.count == 0, "what comes of streams that have ended is passed over")
    }

    @Test(arguments: [1, 2, 3])
    func `interim responses, trailers and blocks in parts are read`(parts: Int) throws {
        var bed = try Bed()
        let message = bed.send()
        try bed.receive(bed.peer.head(1, [(":status", "103"), ("link", "</a>; rel=preload")], parts: parts))
        try bed.receive(bed.peer.head(1, [(":status", "202"), ("x-amzn-request-id", "other")], parts: parts))
        #expect(message.answer == nil)
        try bed.receive(
            Peer.data(1, "text", ends: false) + bed.peer.head(1, [("x-checksum", "1")], ends: true, parts: parts))
        #expect(message.answer?.status == 202 && message.answer?.requestID == .text("other"))
    }

    @Test func `nothing depends on how many bytes come at once`() throws {
        var peer = Peer()
        let settings = Peer.settings((.maximumConcurrentStreams, 3))
        let answers =
            peer.head(1, [(":status", "500")], parts: 3) + Peer.ping(7) + Peer.data(1, "error", ends: false)
            + peer.accepted(3) + Peer.data(1, " text") + Peer.goAway(last: 3)
        for step in 1...answers.readableBytes {
            var bed = try Bed(nil)
            func receive(_ bytes: ByteBuffer) throws {
                var rest = bytes
                while let part = rest.readSlice(length: min(step, rest.readableBytes)), part.readableBytes > 0 {
                    try bed.receive(part)
                }
            }
            try receive(settings)
            let messages = [bed.send(), bed.send()]
            try receive(answers)
            #expect(bed.events == ["established 3", "drains"] && bed.peer.pingsAcknowledged == [7])
            #expect(messages.map { $0.answer?.status } == [500, 202])
            #expect(messages[0].answer.map { String(buffer: $0.content) } == "error text")
        }
    }

    @Test(arguments: [202, 503])
    func `of more content than is passed on, errors keep the beginning`(status: Int) throws {
        var bed = try Bed()
        let message = bed.send()
        try bed.receive(bed.peer.head(1, [(":status", "\(status)")]))
        for _ in 0..<5 { try bed.receive(Peer.data(1, String(repeating: "x", count: 16_000), ends: false)) }
        #expect(message.answer?.status == status && bed.peer.resets[1] == HTTP2Error.Code.cancel.rawValue)
        #expect(message.answer?.content.readableBytes == (status == 202 ? 0 : 65_536))
    }

    @Test func `the peer may go on sending, however much it has sent`() throws {
        var bed = try Bed()
        for number in 0..<200 {
            let stream = UInt32(2 * number + 1)
            let message = bed.send()
            try bed.receive(
                bed.peer.head(stream, [(":status", "400")]) + Peer.data(stream, String(repeating: "x", count: 16_000)))
            #expect(message.answer?.content.readableBytes == 16_000)
        }
        #expect((bed.peer.windowUpdates[0] ?? 0) > 3_000_000)
    }

    @Test(arguments: [
        [(":status", "20")], [(":status", "202"), (":status", "202")], [("x", "y")], [(":status", "101")],
        [(":status", "600")],
    ])
    func `a response without a status is none`(fields: [(String, String)]) throws {
        var bed = try Bed()
        let (message, other) = (bed.send(), bed.send())
        try bed.receive(bed.peer.head(1, fields, ends: true))
        if case .malformedAnswer = message.failure {
        } else {
            Issue.record("told \(String(describing: message.failure))")
        }
        #expect(bed.peer.resets[1] == HTTP2Error.Code.cancel.rawValue)
        try bed.receive(bed.peer.accepted(3))
        #expect(other.answer?.status == 202, "the others go on")
    }

    // MARK: What is known of messages without an answer

    @Test func `a stream that is refused was not processed, and any other that is reset may have been`() throws {
        var bed = try Bed()
        let (refused, reset) = (bed.send(), bed.send())
        try bed.receive(Peer.reset(1, .refusedStream) + Peer.reset(3, .internalError))
        #expect(refused.failure == .notProcessed && reset.failure == .connectionLost)
        let (known, cut) = (bed.send(), bed.send())
        try bed.receive(bed.peer.head(5, [(":status", "202")]) + Peer.reset(5, .internalError))
        #expect(known.answer?.status == 202, "its status is known")
        try bed.receive(
            bed.peer.head(7, [(":status", "503")]) + Peer.data(7, "par", ends: false) + Peer.reset(7, .cancel))
        #expect(cut.answer?.status == 503 && cut.answer.map { String(buffer: $0.content) } == "par")
    }

    @Test func `streams above the last that the peer names were not processed, the others go on`() throws {
        var bed = try Bed()
        let messages = (0..<4).map { _ in bed.send() }
        // In two steps, as a peer does that shuts down gracefully.
        try bed.receive(Peer.goAway(last: UInt32(Int32.max)))
        #expect(bed.events.last == "drains" && messages.allSatisfy { $0.failure == nil })
        #expect(bed.send().unavailable != nil)
        try bed.receive(Peer.goAway(last: 3))
        #expect(messages.map { $0.failure } == [nil, nil, .notProcessed, .notProcessed])
        try bed.receive(bed.peer.accepted(3))
        bed.end(.connectionLost)
        #expect(messages[1].answer?.status == 202 && messages[0].failure == .connectionLost)
        #expect(bed.events == ["established 100", "drains", "close"])
    }

    /// As the cut tests of HTTP/1.1: at each byte of the answers.
    @Test func `wherever the connection is cut, what has a status is answered and the rest is unknown`() throws {
        var peer = Peer()
        let head = peer.head(1, [(":status", "202"), ("x-amzn-requestid", "id")])
        let answer = head + Peer.data(1, "text") + peer.accepted(3)
        let second = head.readableBytes + Peer.data(1, "text").readableBytes
        for length in 0...answer.readableBytes {
            var bed = try Bed()
            let messages = [bed.send(), bed.send()]
            try bed.receive(answer.getSlice(at: 0, length: length) ?? ByteBuffer())
            bed.end(.connectionLost)
            #expect((messages[0].answer?.status == 202) == (length >= head.readableBytes), "cut at \(length)")
            #expect((messages[1].answer?.status == 202) == (length == answer.readableBytes && length > second))
            for message in messages { #expect((message.answer == nil) == (message.failure == .connectionLost)) }
        }
    }

    // MARK: Windows

    @Test func `content waits for the windows of the peer, and goes on in pieces`() throws {
        var bed = try Bed(Peer.settings((.initialWindowSize, 4)))
        let message = bed.send(content: #"{"data":{"a":"b"}}"#)
        #expect(bed.peer.requests[1]?.content == #"{"da"# && bed.peer.requests[1]?.isComplete == false)
        try bed.receive(Peer.windowUpdate(1, by: 3))
        #expect(bed.peer.requests[1]?.content == #"{"data""#)
        // The windows of streams change with the setting, even below nothing.
        try bed.receive(Peer.settings((.initialWindowSize, 0)))
        try bed.receive(Peer.windowUpdate(1, by: 4))
        #expect(bed.peer.requests[1]?.content == #"{"data""#)
        try bed.receive(Peer.settings((.initialWindowSize, 100)))
        #expect(bed.peer.requests[1]?.content == #"{"data":{"a":"b"}}"# && bed.peer.requests[1]?.isComplete == true)
        // A peer may count by its new windows only from the acknowledgement on.
        #expect(bed.peer.contentAcknowledged == #"{"data""#.utf8.count)
        try bed.receive(bed.peer.accepted(1))
        #expect(message.answer?.status == 202)
    }

    @Test func `all streams together wait for the window of the connection`() throws {
        var bed = try Bed(Peer.settings((.initialWindowSize, 1 << 20)))
        let content = #"{"data":""# + String(repeating: "x", count: 30_000) + #""}"#
        _ = (0..<3).map { _ in bed.send(content: content) }
        #expect(bed.peer.requests.values.count { $0.isComplete } == 2)
        #expect(bed.peer.requests.values.reduce(0) { $0 + $1.content.utf8.count } == 65_535)
        try bed.receive(Peer.windowUpdate(0, by: 100_000))
        #expect(bed.peer.requests.values.allSatisfy { $0.isComplete && $0.content == content })
    }

    @Test func `an answer before the content is sent ends the content`() throws {
        var bed = try Bed(Peer.settings((.initialWindowSize, 4)))
        let message = bed.send()
        try bed.receive(bed.peer.head(1, [(":status", "400")], ends: true))
        #expect(message.answer?.status == 400 && bed.peer.resets[1] == HTTP2Error.Code.cancel.rawValue)
        try bed.receive(Peer.windowUpdate(1, by: 100))
        #expect(bed.peer.requests[1]?.isComplete == false)
    }

    // MARK: What a peer must not do

    @Test(arguments: [
        ("no settings first", Peer.ping(1), HTTP2Error.Code.protocolError),
        ("an acknowledgement first", Peer.frame(.settings, HTTP2Frame.Flag.acknowledgement), .protocolError),
        ("an answer of HTTP/1.1", ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n"), .frameSizeError),
    ])
    func `a connection must begin with settings`(what: String, bytes: ByteBuffer, code: HTTP2Error.Code) throws {
        var bed = try Bed(nil)
        let error = #expect(throws: HTTP2Error.self) { try bed.receive(bytes) }
        #expect(error?.code == code, "\(what): \(String(describing: error))")
    }

    @Test(arguments: [
        ("settings of a stream", Peer.frame(.settings, stream: 1), HTTP2Error.Code.protocolError),
        ("half a setting", Peer.frame(.settings, 0, ByteBuffer(bytes: [0, 1, 0])), .frameSizeError),
        (
            "an acknowledgement with content", Peer.frame(.settings, 1, ByteBuffer(repeating: 0, count: 6)),
            .frameSizeError
        ),
        ("push that is allowed by a server", Peer.settings((.enablePush, 1)), .protocolError),
        ("too large a window", Peer.settings((.initialWindowSize, 1 << 31)), .flowControlError),
        ("too small a frame", Peer.settings((.maximumFrameSize, 100)), .protocolError),
        (
            "a frame too large", Peer.frame(.data, 0, stream: 1, ByteBuffer(repeating: 0, count: 16_385)),
            .frameSizeError
        ),
        ("pushes", Peer.frame(.pushPromise, 4, stream: 1, ByteBuffer(bytes: [0, 0, 0, 2])), .protocolError),
        ("an answer that nobody asked for", Peer.data(9, "x"), .protocolError),
        ("a stream of the server's", Peer.frame(.headers, 4, stream: 2, ByteBuffer(bytes: [0x88])), .protocolError),
        ("a reset of no stream", Peer.reset(0, .cancel), .protocolError),
        ("half a reset", Peer.frame(.resetStream, 0, stream: 1, ByteBuffer(bytes: [0])), .frameSizeError),
        ("a window of nothing", Peer.windowUpdate(0, by: 0), .protocolError),
        ("half a window", Peer.frame(.windowUpdate, 0, stream: 1, ByteBuffer(bytes: [0])), .frameSizeError),
        ("an endless window", Peer.windowUpdate(0, by: Int(Int32.max)), .flowControlError),
        ("an endless window of a stream", Peer.windowUpdate(1, by: Int(Int32.max)), .flowControlError),
        ("half a ping", Peer.frame(.ping, 0, ByteBuffer(bytes: [0])), .frameSizeError),
        ("a ping of a stream", Peer.frame(.ping, 0, stream: 1, ByteBuffer(repeating: 0, count: 8)), .protocolError),
        ("half a goodbye", Peer.frame(.goAway, 0, ByteBuffer(bytes: [0, 0, 0, 1])), .frameSizeError),
        (
            "a goodbye of a stream", Peer.frame(.goAway, 0, stream: 1, ByteBuffer(repeating: 0, count: 8)),
            .protocolError
        ),
        ("a continuation of nothing", Peer.frame(.continuation, 4, stream: 1), .protocolError),
        (
            "an interrupted block",
            Peer.frame(.headers, 0, stream: 1, ByteBuffer(bytes: [0x88])) + Peer.ping(1), .protocolError
        ),
        (
            "a block that goes on elsewhere",
            Peer.frame(.headers, 0, stream: 1, ByteBuffer(bytes: [0x88])) + Peer.frame(.continuation, 4, stream: 3),
            .protocolError
        ),
        ("a block that is none", Peer.frame(.headers, 4, stream: 1, ByteBuffer(bytes: [0xFF])), .compressionError),
        ("padding without end", Peer.frame(.data, 8, stream: 1, ByteBuffer(bytes: [9, 0])), .protocolError),
        ("no room for a priority", Peer.frame(.headers, 0x24, stream: 1, ByteBuffer(bytes: [0])), .frameSizeError),
        (
            "a stream that depends on itself",
            Peer.frame(.headers, 0x24, stream: 1, ByteBuffer(bytes: [0, 0, 0, 1, 0, 0x88])), .protocolError
        ),
    ])
    func `what breaks the protocol ends the connection, and says why`(
        what: String, bytes: ByteBuffer, code: HTTP2Error.Code
    ) throws {
        var bed = try Bed()
        let message = bed.send()
        let error = #expect(throws: HTTP2Error.self) { try bed.receive(bytes) }
        #expect(error?.code == code, "\(what): \(String(describing: error))")
        bed.end(.connectionLost)
        #expect(message.failure == .connectionLost && bed.events.last == "close")
    }

    @Test func `a peer that sends without end is stopped`() throws {
        var bed = try Bed()
        _ = bed.send()
        try bed.receive(Peer.frame(.headers, 0, stream: 1, ByteBuffer(repeating: 0x88, count: 8_000)))
        try bed.receive(Peer.frame(.continuation, 0, stream: 1, ByteBuffer(repeating: 0x88, count: 8_000)))
        let error = #expect(throws: HTTP2Error.self) {
            try bed.receive(Peer.frame(.continuation, 0, stream: 1, ByteBuffer(repeating: 0x88, count: 8_000)))
        }
        #expect(error?.code == .enhanceYourCalm)
        var other = try Bed()
        _ = other.send()
        let padded = Peer.frame(.data, 8, stream: 1, ByteBuffer(bytes: [255]) + ByteBuffer(repeating: 0, count: 255))
        try other.receive(other.peer.head(1, [(":status", "200")]))
        let overflow = #expect(throws: HTTP2Error.self) { for _ in 0..<600 { try other.receive(padded) } }
        #expect(overflow?.code == .flowControlError, "padding takes room, too")
    }

    @Test func `a window of nothing is an error of its stream alone`() throws {
        var bed = try Bed()
        let messages = [bed.send(), bed.send()]
        try bed.receive(Peer.windowUpdate(1, by: 0) + bed.peer.accepted(3))
        guard case .malformedAnswer = messages[0].failure else { return #expect(Bool(false)) }
        #expect(messages[1].answer?.status == 202)
    }

    @Test func `a block in endless parts ends the connection`() throws {
        var bed = try Bed()
        _ = bed.send()
        try bed.receive(Peer.frame(.headers, 0, stream: 1, ByteBuffer(bytes: [0x88])))
        let error = #expect(throws: HTTP2Error.self) {
            for _ in 0..<40 { try bed.receive(Peer.frame(.continuation, 0, stream: 1)) }
        }
        #expect(error?.code == .enhanceYourCalm)
    }

    @Test func `frames that are not known are passed over`() throws {
        var bed = try Bed()
        let message = bed.send()
        var unknown = Peer.frame(.priority, 0, stream: 1, ByteBuffer(repeating: 0, count: 5))
        unknown.setInteger(UInt8(0x77), at: unknown.readerIndex + 3)
        let priority = Peer.frame(.priority, 0, stream: 1, ByteBuffer(repeating: 0, count: 5))
        try bed.receive(unknown + priority + Peer.settings() + Peer.frame(.settings, 1))
        try bed.receive(bed.peer.accepted(1))
        #expect(message.answer?.status == 202 && bed.peer.settingsAcknowledged == 2)
    }

    // MARK: Time

    @Test func `a message in a hurry is told in time, and its stream goes on`() throws {
        var bed = try Bed()
        let (hurried, patient) = (Message(), Message())
        hurried.deadline = bed.now + .milliseconds(300)
        _ = bed.send("a", hurried)
        _ = bed.send("b", patient)
        try bed.pass(.milliseconds(200))
        #expect(hurried.timesStillAwaited == 1 && patient.timesStillAwaited == 1)
        try bed.pass(.milliseconds(100))
        #expect(hurried.failure == .timeout && hurried.late == nil && bed.state.count == 2)
        try bed.receive(bed.peer.accepted(1))
        #expect(hurried.late??.status == 202)
        bed.state.stopAwaiting(patient)
        try bed.pass(.seconds(10))
        #expect(patient.failure == nil && patient.late == .some(nil))
        #expect(bed.peer.resets[3] == HTTP2Error.Code.cancel.rawValue && bed.state.count == 0)
    }

    @Test func `a message whose time and whose region's time are over at once is told of both`() throws {
        var bed = try Bed()
        let message = Message()
        message.deadline = bed.now + .seconds(9)
        _ = bed.send("a", message)
        try bed.pass(.seconds(60))
        #expect(message.failure == .timeout && message.late == .some(nil))
    }

    @Test func `a silent peer is asked, gets no more messages, and is given up with the last`() throws {
        var bed = try Bed()
        let message = bed.send()
        try bed.pass(.milliseconds(900))
        #expect(bed.peer.pings.isEmpty)
        try bed.pass(.milliseconds(100))
        #expect(bed.peer.pings.count == 1)
        try bed.receive(Peer.ping(bed.peer.pings[0], isAcknowledgement: true))
        try bed.pass(.milliseconds(1_000))
        try bed.pass(.milliseconds(1_000))
        #expect(bed.peer.pings.count == 2 && bed.events.last == "changed 0")
        try bed.receive(Peer.ping(0))
        #expect(bed.events.last == "changed 100")
        try bed.pass(.milliseconds(1_000))
        try bed.pass(.milliseconds(1_000))
        #expect(bed.events.last == "changed 0" && message.failure == nil)
        try bed.pass(.seconds(10))
        #expect(message.failure == .timeout && bed.events.last == "close")
        var idle = try Bed()
        try idle.pass(.seconds(30))
        #expect(idle.peer.pings.isEmpty, "it owes nothing")
        _ = idle.send()
        try idle.pass(.milliseconds(100))
        #expect(idle.peer.pings.isEmpty, "it has not been asked for long")
    }
}
