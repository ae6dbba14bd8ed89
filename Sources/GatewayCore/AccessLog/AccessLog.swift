public import NIOCore

/// The access log of one event loop: a line of JSON for each message and each refused request, gathered here and
/// handed on in pieces.
///
/// Holds nothing that a caller can make up: no userId, no key, no content.
public final class AccessLog {
    /// Lines that go together to whoever writes them.
    public struct Piece: Sendable {
        public var text: ByteBuffer
        public var lines: Int
    }

    /// A piece is handed on when it has so many bytes, or so much later than its first line.
    private static let pieceBytes = 32 * 1024
    private static let longestWait = TimeAmount.milliseconds(200)

    private let eventLoop: any EventLoop
    private let now: @Sendable () -> UnixTimestamp
    private let sink: @Sendable (Piece) -> Void
    /// As JSON, by their place in the configuration.
    private let callers: [ByteBuffer]
    private let skills: [ByteBuffer]
    private var timestamps = TimestampWriter()
    private var piece = Piece(text: ByteBuffer(), lines: 0)

    /// - Parameters:
    ///   - callers, skills: their names, by their place in the configuration.
    ///   - now: the wall clock.
    ///   - sink: gets the pieces in order, on the event loop; must not wait.
    public init(
        callers: [String], skills: [String], eventLoop: any EventLoop, now: @escaping @Sendable () -> UnixTimestamp,
        sink: @escaping @Sendable (Piece) -> Void
    ) {
        self.callers = callers.map(Self.jsonString)
        self.skills = skills.map(Self.jsonString)
        self.eventLoop = eventLoop
        self.now = now
        self.sink = sink
    }

    /// - Parameters:
    ///   - sends: times the message was written to a connection.
    ///   - duration: from its last byte to its answer.
    func finished(_ labels: ForwardingInstruments.Labels, _ answer: Answer, sends: Int, duration: TimeAmount) {
        startLine()
        writeMember("caller", labels.caller.map { callers[$0] })
        writeMember("skill", labels.skill.map { skills[$0] })
        piece.text.writeStaticString(",\"region\":")
        if let region = labels.region {
            JSONText.writeString(region.name, to: &piece.text)
        } else {
            piece.text.writeStaticString("null")
        }
        piece.text.writeStaticString(",\"status\":")
        piece.text.writeDecimal(answer.status)
        piece.text.writeStaticString(",\"source\":")
        JSONText.writeString(answer.source.rawValue, to: &piece.text)
        piece.text.writeStaticString(",\"sends\":")
        piece.text.writeDecimal(sends)
        let microseconds = Int(duration.nanoseconds / 1000)
        piece.text.writeStaticString(",\"durationMilliseconds\":")
        piece.text.writeDecimal(microseconds / 1000)
        piece.text.writeStaticString(".")
        TimestampWriter.writePadded(microseconds % 1000, digits: 3, to: &piece.text)
        switch answer.content {
        case .upstream(let upstream):
            if let requestID = upstream.requestID { writeRequestID(requestID) }
        case .refusal(let refusal): writeProblem(refusal.problem)
        case .report: break
        }
        endLine()
    }

    /// A request that was refused before it was known what it is for.
    func refused(_ problem: Problem) {
        startLine()
        piece.text.writeStaticString(",\"status\":")
        piece.text.writeDecimal(problem.row.status)
        piece.text.writeStaticString(",\"source\":\"gateway\"")
        writeProblem(problem)
        endLine()
    }

    /// Hands on what has been gathered.
    public func flush() {
        guard piece.lines > 0 else { return }
        sink(piece)
        piece = Piece(text: ByteBuffer(), lines: 0)
    }

    private func startLine() {
        if piece.lines == 0 {
            piece.text.reserveCapacity(Self.pieceBytes + 1024)
            eventLoop.assumeIsolated().scheduleTask(in: Self.longestWait) { self.flush() }
        }
        piece.text.writeStaticString("{\"time\":\"")
        timestamps.write(now(), to: &piece.text)
        piece.text.writeStaticString("\"")
    }

    private func endLine() {
        piece.text.writeStaticString("}\n")
        piece.lines += 1
        if piece.text.readableBytes >= Self.pieceBytes { flush() }
    }

    private func writeMember(_ name: StaticString, _ value: ByteBuffer?) {
        piece.text.writeStaticString(",\"")
        piece.text.writeStaticString(name)
        piece.text.writeStaticString("\":")
        if let value {
            piece.text.writeImmutableBuffer(value)
        } else {
            piece.text.writeStaticString("null")
        }
    }

    private func writeRequestID(_ requestID: RequestID) {
        piece.text.writeStaticString(",\"requestID\":")
        switch requestID {
        case .uuid:
            piece.text.writeStaticString("\"")
            requestID.write(to: &piece.text)
            piece.text.writeStaticString("\"")
        case .text(let text): JSONText.writeString(text, to: &piece.text)
        }
    }

    private func writeProblem(_ problem: Problem) {
        piece.text.writeStaticString(",\"problem\":")
        JSONText.writeString(problem.rawValue, to: &piece.text)
    }

    private static func jsonString(_ text: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        JSONText.writeString(text, to: &buffer)
        return buffer
    }
}
