package import NIOCore

/// Gathers the lines of one event loop's log, objects of JSON, and hands them on in pieces.
package final class LogLines {
    /// A piece is handed on when it has so many bytes, or so much later than its first line.
    private static let pieceBytes = 32 * 1024
    private static let longestWait = TimeAmount.milliseconds(200)

    private let eventLoop: any EventLoop
    private let now: @Sendable () -> UnixTimestamp
    private let sink: LogSink
    private var names: LogNames
    private var timestamps = TimestampWriter()
    private var piece = LogBatch(text: ByteBuffer(), lines: 0)
    private var tally = RefusalTally()
    /// Writes the line of the refusals that had none of their own.
    var writeTally: (RefusalTally.Entry) -> Void = { _ in }

    /// - Parameters:
    ///   - callerNames, skillNames: by their labels.
    ///   - now: the wall clock.
    package init(
        callerNames: [String], skillNames: [String], eventLoop: any EventLoop,
        now: @escaping @Sendable () -> UnixTimestamp, sink: @escaping LogSink
    ) {
        names = LogNames(callers: callerNames, skills: skillNames)
        self.eventLoop = eventLoop
        self.now = now
        self.sink = sink
    }

    func use(callerNames: [String], skillNames: [String]) {
        names = LogNames(callers: callerNames, skills: skillNames)
    }

    /// One line; `write` adds members behind the time.
    func append(_ write: (inout ByteBuffer, LogNames) -> Void) {
        if piece.lines == 0 {
            piece.text.reserveCapacity(Self.pieceBytes + 1024)
            eventLoop.assumeIsolated().scheduleTask(in: Self.longestWait) { self.flush() }
        }
        piece.text.writeStaticString("{\"time\":\"")
        timestamps.write(now(), to: &piece.text)
        piece.text.writeStaticString("\"")
        write(&piece.text, names)
        piece.text.writeStaticString("}\n")
        piece.lines += 1
        if piece.text.readableBytes >= Self.pieceBytes { flush() }
    }

    /// Whether a refusal has a line of its own; it is counted for the line of its kind otherwise.
    func hasLineOfItsOwn(_ kind: RefusalTally.Kind, address: @autoclosure () -> String) -> Bool {
        if tally.isEmpty {
            eventLoop.assumeIsolated().scheduleTask(in: RefusalTally.window) { self.writeTallies() }
        }
        return tally.isFirst(kind, address: address())
    }

    private func writeTallies() {
        for entry in tally.windowEnded() { writeTally(entry) }
    }

    /// Hands on what has been gathered, tallies of a window that has not ended included.
    func close() {
        writeTallies()
        flush()
    }

    /// Hands on what has been gathered.
    func flush() {
        guard piece.lines > 0 else { return }
        sink(piece)
        piece = LogBatch(text: ByteBuffer(), lines: 0)
    }
}

/// Lines that go together to whoever writes them.
package struct LogBatch: Sendable {
    package var text: ByteBuffer
    package var lines: Int

    package init(text: ByteBuffer, lines: Int) {
        self.text = text
        self.lines = lines
    }
}

/// Gets the pieces in order, on the event loop; must not wait.
package typealias LogSink = @Sendable (LogBatch) -> Void

/// The names that labels stand for, each written once as a JSON string.
struct LogNames {
    private let callers: [ByteBuffer]
    private let skills: [ByteBuffer]

    init(callers: [String], skills: [String]) {
        self.callers = callers.map(Self.jsonString)
        self.skills = skills.map(Self.jsonString)
    }

    /// Members `caller`, `skill` and `region`; null where that was never settled. And `id`, and those of the trace, if there is one.
    func write(_ labels: ForwardingInstruments.Labels, to text: inout ByteBuffer) {
        text.writeStaticString(",\"caller\":")
        Self.write(labels.caller, of: callers, to: &text)
        text.writeStaticString(",\"skill\":")
        Self.write(labels.skill, of: skills, to: &text)
        text.writeStaticString(",\"region\":")
        if let region = labels.region {
            JSONText.writeString(region.name, to: &text)
        } else {
            text.writeStaticString("null")
        }
        if let id = labels.id { Self.write(id, to: &text) }
        Self.write(labels.brokenRules, to: &text)
        // What nobody has authenticated makes no span.
        labels.trace?.writeMembers(withSpan: labels.caller != nil, to: &text)
    }

    /// Member `wouldRefuse`, if there is anything to tell.
    private static func write(_ rules: CallerRules, to text: inout ByteBuffer) {
        guard !rules.isEmpty else { return }
        text.writeStaticString(",\"wouldRefuse\":[")
        var isFirst = true
        for rule in CallerRule.allCases where rules.contains(rule) {
            if !isFirst { text.writeStaticString(",") }
            isFirst = false
            JSONText.writeString(rule.rawValue, to: &text)
        }
        text.writeStaticString("]")
    }

    func write(skill: Int, to text: inout ByteBuffer) {
        text.writeStaticString(",\"skill\":")
        Self.write(skill, of: skills, to: &text)
    }

    /// Member `id`, of the request.
    static func write(_ id: ExchangeID, to text: inout ByteBuffer) {
        text.writeStaticString(",\"id\":")
        id.writeJSON(to: &text)
    }

    private static func write(_ label: Int?, of names: [ByteBuffer], to text: inout ByteBuffer) {
        if let label, names.indices.contains(label) {
            text.writeImmutableBuffer(names[label])
        } else {
            text.writeStaticString("null")
        }
    }

    private static func jsonString(_ text: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        JSONText.writeString(text, to: &buffer)
        return buffer
    }
}
