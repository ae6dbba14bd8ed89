import GatewayCore
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import GatewayTraces

/// Exports whose ends are in the test's hands, on a loop whose time the test moves.
@Suite struct TraceExporterTests {
    private final class Collector: Sendable {
        private let state = Mutex<[(spans: [UInt64], then: @Sendable (TraceExporter.Outcome) -> Void)]>([])
        private let noticed = Mutex<[TraceExporter.Notice]>([])

        var waiting: [[UInt64]] { state.withLock { $0.map(\.spans) } }
        var notices: [TraceExporter.Notice] { noticed.withLock { $0 } }

        func post(_ traces: [RequestTrace], then: @escaping @Sendable (TraceExporter.Outcome) -> Void) {
            state.withLock { $0.append((traces.map(\.spanID), then)) }
        }

        func notice(_ notice: TraceExporter.Notice) { noticed.withLock { $0.append(notice) } }

        func answer(_ outcome: TraceExporter.Outcome) { state.withLock { $0.removeFirst() }.then(outcome) }
    }

    private let loop = EmbeddedEventLoop()
    private let collector = Collector()
    private let exporter: TraceExporter
    private static let failure = TraceExporter.Outcome.failed(.error, detail: "status 503", retryAfter: nil)
    private static let success = TraceExporter.Outcome.exported(rejected: 0, detail: "")

    init() {
        var configuration = TraceQueue.Configuration()
        (configuration.limit, configuration.batch) = (4, 2)
        exporter = TraceExporter(
            configuration, timers: loop, random: { 0 }, onNotice: { [collector] in collector.notice($0) })
    }

    private func export(_ numbers: ClosedRange<UInt64>) {
        exporter.export(numbers.map { .sample($0) })
        loop.run()
    }

    private func use() {
        exporter.use { [collector] in collector.post($0, then: $1) }
        loop.run()
    }

    private func answer(_ outcome: TraceExporter.Outcome) {
        collector.answer(outcome)
        loop.run()
    }

    @Test func `nothing is kept for nobody`() {
        export(1...2)
        use()
        #expect(collector.waiting.isEmpty && exporter.statistics.0 == TraceStatistics())
        export(3...4)
        #expect(collector.waiting == [[3, 4]])
        exporter.use(nil)
        export(5...6)
        answer(Self.failure)
        #expect(exporter.statistics.queued == 0 && exporter.statistics.0.spans == [.discarded: 2])
    }

    @Test func `failures and their end are told`() {
        use()
        export(1...2)
        answer(Self.failure)
        #expect(collector.waiting.isEmpty)
        loop.advanceTime(by: .seconds(1))
        #expect(collector.waiting == [[1, 2]])
        answer(.exported(rejected: 1, detail: "too long"))
        #expect(
            collector.notices == [
                .failed(detail: "status 503"), .exported, .rejected(spans: 1, detail: "too long"),
            ])
        export(3...10)
        #expect(collector.notices.last == .displaced && exporter.statistics.0.spans[.overflow] == 4)
    }

    @Test func `at the end, what is left gets one attempt`() throws {
        use()
        export(1...2)
        export(3...3)
        let finished = exporter.finish(within: .seconds(2))
        loop.run()
        answer(Self.success)
        #expect(collector.waiting == [[3]])
        answer(Self.failure)
        try finished.wait()
        #expect(exporter.statistics.0.spans == [.exported: 2, .discarded: 1])
    }

    @Test func `a collector that hangs holds up the end for so long only`() throws {
        use()
        export(1...3)
        let finished = exporter.finish(within: .seconds(2))
        loop.run()
        loop.advanceTime(by: .seconds(2))
        try finished.wait()
        #expect(exporter.statistics.0.spans == [.discarded: 1])
    }
}
