import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import GatewayCore

@Suite struct TraceRecorderTests {
    private final class Sink: Sendable {
        private let state = Mutex<[[RequestTrace]]>([])
        var batches: [[RequestTrace]] { state.withLock { $0 } }

        func take(_ traces: [RequestTrace]) { state.withLock { $0.append(traces) } }
    }

    private let loop = EmbeddedEventLoop()
    private let sink = Sink()
    private let references = RecentTraces()

    private func recorder(_ sampling: TraceSampling?) -> TraceRecorder {
        let recorder = TraceRecorder(
            callerNames: ["orders"], skillNames: ["weather"], eventLoop: loop, references: references,
            wallClock: { UnixTimestamp(seconds: 100, nanoseconds: 0) }, sink: { [sink] in sink.take($0) })
        recorder.use(sampling)
        return recorder
    }

    private static func caller(isSampled: Bool, low: UInt64 = 1) -> TraceContext {
        TraceContext(TraceID(high: 7, low: low), parentID: 9, isSampled: isSampled)
    }

    private func ending(caller: Int? = 0) -> TraceRecorder.Ending {
        var labels = ForwardingInstruments.Labels()
        (labels.caller, labels.skill) = (caller, 0)
        return TraceRecorder.Ending(
            action: .message, labels: labels, answer: Response(.refusal(.storeFull), region: nil), peer: Peer(),
            requestID: .made(connection: 1, request: 2), contentBytes: 3)
    }

    // MARK: Sampling

    @Test func `without a configuration nothing is traced`() {
        let recorder = recorder(nil)
        #expect(recorder.begin(Self.caller(isSampled: true), at: loop.now) == nil)
        #expect(recorder.begin(nil, at: loop.now) == nil)
    }

    @Test(arguments: [0, 0.01, 0.5, 1]) func `so many of the requests are traced`(ratio: Double) {
        let recorder = recorder(TraceSampling(ratio: ratio))
        var ids: Set<TraceID> = []
        for _ in 0..<10_000 {
            if let trace = recorder.begin(nil, at: loop.now) { ids.insert(trace.id) }
        }
        let expected = Int(10_000 * ratio)
        // Six standard deviations at most.
        #expect(abs(ids.count - expected) <= (ratio == 0 || ratio == 1 ? 0 : 300), "\(ids.count)")
    }

    @Test func `what the caller says decides, or the trace's id alone`() throws {
        let parentBased = recorder(TraceSampling(ratio: 0))
        #expect(parentBased.begin(Self.caller(isSampled: false), at: loop.now) == nil)
        let trace = try #require(parentBased.begin(Self.caller(isSampled: true), at: loop.now))
        #expect(trace.id == TraceID(high: 7, low: 1) && trace.parentID == 9 && trace.spanID != 9)
        let byRatio = recorder(TraceSampling(ratio: 0.5, isParentBased: false))
        // The lower 56 bits, from the threshold on.
        #expect(byRatio.begin(Self.caller(isSampled: true, low: 0xFF7F_FFFF_FFFF_FFFF), at: loop.now) == nil)
        #expect(byRatio.begin(Self.caller(isSampled: false, low: 0x0080_0000_0000_0000), at: loop.now) != nil)
    }

    @Test func `a ratio that is no number traces nothing`() {
        for ratio in [Double.nan, -1, -Double.infinity] {
            #expect(recorder(TraceSampling(ratio: ratio)).begin(nil, at: loop.now) == nil)
        }
        #expect(recorder(TraceSampling(ratio: .infinity)).begin(nil, at: loop.now) != nil)
    }

    @Test func `upstream requests carry the attempt's span, or the caller's where there is none`() {
        let span = SpanReference(traceID: TraceID(high: 7, low: 1), spanID: 5, isSampled: true)
        let silent = recorder(TraceSampling())
        #expect(silent.upstreamReference(span, caller: nil) == nil)
        let telling = recorder(TraceSampling(reachesUpstream: true))
        #expect(telling.upstreamReference(span, caller: Self.caller(isSampled: true)) == span)
        #expect(telling.upstreamReference(nil, caller: nil) == nil)
        let passedOn = telling.upstreamReference(nil, caller: Self.caller(isSampled: false))
        #expect(passedOn?.text == "00-00000000000000070000000000000001-0000000000000009-00")
    }

    // MARK: Handing on

    @Test func `traces are handed on together, and at the end`() throws {
        let recorder = recorder(TraceSampling())
        func finish(_ count: Int) throws {
            for _ in 0..<count {
                recorder.finish(try #require(recorder.begin(nil, at: loop.now)), ending())
            }
        }
        try finish(65)
        #expect(sink.batches.map(\.count) == [64])
        loop.advanceTime(by: .milliseconds(200))
        #expect(sink.batches.map(\.count) == [64, 1])
        try finish(2)
        try recorder.close().wait()
        #expect(sink.batches.map(\.count) == [64, 1, 2])
        let trace = try #require(sink.batches.last?.first)
        #expect(trace.caller == "orders" && trace.skill == "weather" && trace.problem == .storeFull)
        #expect(trace.status == 503 && trace.requestID == "000000000000000100000002")
    }

    @Test func `who is nobody has no traces`() throws {
        let recorder = recorder(TraceSampling())
        recorder.finish(try #require(recorder.begin(nil, at: loop.now)), ending(caller: nil))
        try recorder.close().wait()
        #expect(sink.batches.isEmpty)
    }

    @Test func `a trace refers to those of the records that it names, as far as they are known`() throws {
        let recorder = recorder(TraceSampling())
        let (known, unknown) = (IdempotencyScope(words: (1, 2, 3, 4)), IdempotencyScope(words: (5, 6, 7, 8)))
        let first = try #require(recorder.begin(nil, at: loop.now))
        recorder.sending(first, known, retention: .hours(1))
        let second = try #require(recorder.begin(nil, at: loop.now))
        second.addLink(to: unknown)
        second.addLink(to: known)
        recorder.finish(second, ending(caller: nil))
        loop.run()
        try recorder.close().wait()
        let trace = try #require(sink.batches.first?.first)
        #expect(trace.links == [SpanReference(traceID: first.id, spanID: first.spanID, isSampled: true)])
    }

    // MARK: References

    @Test func `the last ones are remembered`() {
        let recent = RecentTraces(limit: 3)
        func scope(_ number: UInt64) -> IdempotencyScope { IdempotencyScope(words: (number, 0, 0, 0)) }
        func span(_ number: UInt64) -> SpanReference {
            SpanReference(traceID: TraceID(high: 1, low: number), spanID: number, isSampled: true)
        }
        func find(_ number: UInt64) -> SpanReference? {
            let found = Mutex<SpanReference?>(nil)
            recent.find(scope(number)) { span in found.withLock { $0 = span } }
            return found.withLock { $0 }
        }
        for number in 1...5 as ClosedRange<UInt64> { recent.remember(span(number), of: scope(number), for: .zero) }
        // Once more, and under another span.
        recent.remember(span(9), of: scope(4), for: .zero)
        #expect((1...5).map { find($0) } == [nil, nil, span(3), span(9), span(5)])
        recent.remember(span(6), of: scope(6), for: .zero)
        #expect(find(3) == nil && find(4) == span(9))
    }

    @Test func `the text of a reference is read back, and no other`() {
        let span = SpanReference(traceID: TraceID(high: 7, low: 1), spanID: .max, isSampled: false)
        #expect(span.text.utf8.count == SpanReference.characters && SpanReference(span.text) == span)
        for text in ["", "00", span.text + "-", String(span.text.dropLast()), span.text.uppercased()] {
            #expect(SpanReference(text) == nil)
        }
    }
}
