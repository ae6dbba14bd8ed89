import GatewayCore
import GatewayFiles
import Logging
import NIOCore
import NIOPosix

/// The folder of a file store while this process has it.
final class RecordFolder: Sendable {
    /// Between two looks at what can be removed.
    private static let pause = TimeAmount.seconds(1)
    /// One to sync, one to look after the files.
    private static let threadCount = 2

    let files: RecordFiles
    /// What earlier processes left.
    let loaded: LoadedRecords
    private let options: GatewayConfiguration.FileStore
    private let callers: [String]
    private let lock: FolderLock
    private let threads: NIOThreadPool
    private let maintenance: RepeatedTask

    struct Damaged: Error, CustomStringConvertible {
        var folder: String
        var error: RecordFilesError

        var description: String {
            error.offset == nil
                ? "\(folder)/\(error)"
                : "\(folder)/\(error); `skillgate records check --config FILE` shows all that is damaged, and `skillgate records "
                    + "repair --config FILE` keeps what is whole"
        }
    }

    /// Waits until no other process has the folder, and reads what is in it.
    ///
    /// - Parameters:
    ///   - memory: where records are found.
    ///   - callers: their ids, by label.
    ///   - longestLease: the longest time that a message may take.
    init(
        _ configuration: GatewayConfiguration.FileStore, _ memory: MemoryIdempotencyStore, callers: [String],
        longestLease: Duration, controlLoop: any EventLoop, logger: Logger
    ) async throws {
        let path = configuration.directory ?? ""
        options = configuration
        self.callers = callers
        let threads = NIOThreadPool(numberOfThreads: Self.threadCount)
        threads.start()
        var options = RecordFiles.Options(unixMilliseconds: { Int64(UnixTime.milliseconds()) })
        options.outlivesMachine = configuration.durability == .machine
        options.longestLease = longestLease
        let files = RecordFiles(on: DiskFolder(path), memory, threads: threads, options)
        let start = ContinuousClock.now
        (lock, loaded) = try await threads.runIfActive {
            let lock = try FolderLock.take(path) { process in
                logger.notice(
                    "waiting for another process to release the records",
                    metadata: [
                        "gateway.store.directory": "\(path)", "process.pid": "\(process.map(String.init) ?? "unknown")",
                    ])
            }
            do throws(RecordFilesError) {
                return (lock, try files.load(now: .now(), callers: callers))
            } catch {
                throw Damaged(folder: path, error: error)
            }
        }
        self.files = files
        self.threads = threads
        logger.notice(
            "idempotency records are in files",
            metadata: [
                "gateway.store.directory": "\(path)", "gateway.store.records": "\(memory.count)",
                "gateway.store.durability": "\(configuration.durability)",
                "gateway.store.seconds": "\((ContinuousClock.now - start).inSeconds)",
            ])
        let evicted = memory.statistics(now: .now()).evicted
        if evicted > 0 {
            logger.error(
                "there are more records in files than `idempotency.memory` has room for: the oldest are forgotten, and retries are sent again",
                metadata: ["gateway.store.directory": "\(path)", "gateway.store.forgotten": "\(evicted)"])
        }
        if loaded.tornEnds > 0 {
            logger.warning(
                "the end of a file of records was not written whole, and was cut off",
                metadata: ["gateway.store.directory": "\(path)", "gateway.store.files": "\(loaded.tornEnds)"])
        }
        let lock = lock
        maintenance = controlLoop.scheduleRepeatedAsyncTask(initialDelay: Self.pause, delay: Self.pause) { _ in
            threads.runIfActive(eventLoop: controlLoop) {
                files.check(isHeld: lock.isInForce)
                for problem in files.maintain(now: .now()) {
                    logger.error("files of records need help", metadata: ["gateway.store.detail": "\(path)/\(problem)"])
                }
            }.recover { _ in }
        }
    }

    /// The store of one event loop, to be called on it.
    func store(on eventLoop: any EventLoop, number: Int, _ log: StoreLog) -> FileIdempotencyStore {
        let store = FileIdempotencyStore(
            files, stream: number, whenUnavailable: options.onStoreUnavailable == .forward ? .forward : .refuse,
            eventLoop: eventLoop, onTrouble: { log.report($0) })
        store.use(callers: callers)
        return store
    }

    /// Lets the next process have the folder. To be called once no event loop writes any more.
    func close() async {
        maintenance.cancel()
        try? await threads.runIfActive { [files] in files.close() }
        try? await threads.shutdownGracefully()
        lock.release()
    }
}
