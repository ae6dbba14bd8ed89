import GatewayCore
import GatewayTraces
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Traces from the event loops to the collector of the configuration.
final class TraceReporter: Sendable {
    private struct State {
        /// Where they go; nil: nowhere.
        var post: TracePost?
        /// Writes what is sent; nil: nothing has been sent yet.
        var threads: NIOThreadPool?
    }

    private let exporter: TraceExporter
    let references: any TraceReferences
    private let state = Mutex(State())

    /// - Parameter references: nil where replicas share nothing.
    init(controlLoop: any EventLoop, _ references: (any TraceReferences)?, _ logger: Logger) {
        self.references = references ?? RecentTraces()
        let log = TraceLog(logger)
        exporter = TraceExporter(timers: controlLoop, onNotice: { log.report($0) })
    }

    /// Called by one task alone, with what has been checked.
    func use(_ configuration: GatewayConfiguration) {
        let post = configuration.traces.map {
            TracePost($0, configuration.upstream.proxy, configuration.endpoints)
        }
        state.withLock { state in
            guard post != state.post else { return }
            state.post = post
            guard let post else { return exporter.use(nil) }
            let threads = state.threads ?? NIOThreadPool(numberOfThreads: 1)
            if state.threads == nil { threads.start() }
            state.threads = threads
            exporter.use { traces, then in post.perform(traces, on: threads, then: then) }
        }
    }

    func export(_ traces: [RequestTrace]) { exporter.export(traces) }

    /// Nil where no traces are exported, nor ever were.
    var snapshot: MetricsSnapshot.Traces? {
        let (statistics, queued) = exporter.statistics
        guard state.withLock({ $0.post != nil }) || statistics != TraceStatistics() else { return nil }
        return MetricsSnapshot.Traces(statistics: statistics, queued: queued)
    }

    /// Gives the traces that are left one attempt.
    func finish(within limit: Duration) async {
        guard let threads = state.withLock({ $0.threads }) else { return }
        try? await exporter.finish(within: limit).get()
        try? await threads.shutdownGracefully()
    }
}
