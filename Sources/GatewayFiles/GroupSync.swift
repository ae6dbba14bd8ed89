import NIOCore
import NIOPosix

/// One sync for all that an event loop has written in a turn, by a thread of its own, so that nobody else waits for the disk. What is
/// written meanwhile is synced next. Bound to the event loop.
final class GroupSync {
    private let files: RecordFiles
    private let eventLoop: any EventLoop
    private var waiting: [(DiskError?) -> Void] = []
    private var isBusy = false
    private var log: RecordLog?

    init(_ files: RecordFiles, _ eventLoop: any EventLoop) {
        self.files = files
        self.eventLoop = eventLoop
    }

    /// Completes once what was added to the log before this call outlives a loss of power.
    ///
    /// - Parameter value: given what went wrong, if anything did.
    func whenSynced<Value: Sendable>(
        _ log: RecordLog, _ value: @escaping (DiskError?) -> Value
    ) -> EventLoopFuture<Value> {
        let promise = eventLoop.makePromise(of: Value.self)
        waiting.append { promise.succeed(value($0)) }
        self.log = log
        if !isBusy {
            isBusy = true
            // Whatever else the turn writes goes with it.
            eventLoop.assumeIsolated().execute { self.sync() }
        }
        return promise.futureResult
    }

    private func sync() {
        guard let (written, isFolderChanged) = log?.takeUnsynced() else { return }
        let group = waiting
        waiting = []
        let disk = files.segments.disk
        files.threads.runIfActive(eventLoop: eventLoop) {
            for file in written { try file.sync() }
            if isFolderChanged { try disk.syncFolder() }
        }.assumeIsolated().whenComplete { result in
            var error: DiskError?
            if case .failure(let failure) = result {
                error = failure as? DiskError ?? DiskError("cannot sync: the gateway is ending")
            }
            for told in group { told(error) }
            if self.waiting.isEmpty { self.isBusy = false } else { self.sync() }
        }
    }
}
