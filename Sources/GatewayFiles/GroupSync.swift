import NIOCore
import NIOPosix

/// One sync for all that an event loop has written in a turn, by a thread of its own, so that nobody else waits for the disk. What is
/// written meanwhile is synced next. Bound to the event loop.
final class GroupSync {
    private static let patience = TimeAmount.seconds(1)
    private static let stalled = DiskError("the disk did not sync within 1 s")

    /// Those who wait for one sync, and are told once.
    private final class Group {
        private var callbacks: [(DiskError?) -> Void] = []

        func add(_ callback: @escaping (DiskError?) -> Void) { callbacks.append(callback) }
        var isEmpty: Bool { callbacks.isEmpty }

        func tell(_ error: DiskError?) {
            let told = callbacks
            callbacks = []
            for callback in told { callback(error) }
        }
    }

    private let log: RecordLog
    private let files: RecordFiles
    private let eventLoop: any EventLoop
    private var waiting = Group()
    private var isBusy = false
    private var isStalled = false

    init(_ log: RecordLog, of files: RecordFiles, _ eventLoop: any EventLoop) {
        self.log = log
        self.files = files
        self.eventLoop = eventLoop
    }

    /// Calls back once what was written before outlives a loss of power, or with what went wrong, in any case soon.
    func whenSynced(_ callback: @escaping (DiskError?) -> Void) {
        guard !isStalled else { return callback(Self.stalled) }
        waiting.add(callback)
        guard !isBusy else { return }
        isBusy = true
        // Whatever else the turn writes goes with it.
        eventLoop.assumeIsolated().execute { self.sync() }
    }

    private func sync() {
        let group = waiting
        waiting = Group()
        let written = log.takeUnsynced()
        let disk = files.segments.disk
        let timer = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            self.isStalled = true
            group.tell(Self.stalled)
            self.waiting.tell(Self.stalled)
        }
        files.threads.runIfActive(eventLoop: eventLoop) {
            try written.sync(on: disk)
        }.assumeIsolated().whenComplete { result in
            timer.cancel()
            self.isStalled = false
            switch result {
            case .success:
                self.log.synced(written)
                group.tell(nil)
            case .failure(let failure):
                let error = failure as? DiskError ?? DiskError("cannot sync: the gateway is ending")
                // What was written since then is in a file that counts no more.
                self.log.syncFailed()
                group.tell(error)
                self.waiting.tell(error)
            }
            if self.waiting.isEmpty { self.isBusy = false } else { self.sync() }
        }
    }
}
