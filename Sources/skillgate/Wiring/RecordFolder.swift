import GatewayCore
import GatewayFiles
import Logging
import NIOCore
import NIOPosix

/// The records in the folder of a file store.
final class RecordFolder: Sendable {
    /// Between two looks at what can be removed.
    private static let pause = TimeAmount.seconds(1)

    let files: RecordFiles
    /// What earlier processes left.
    let loaded: LoadedRecords
    private let options: GatewayConfiguration.FileStore
    private let callers: [String]
    private let folder: LockedFolder
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

    /// Reads what is there.
    ///
    /// - Parameters:
    ///   - memory: where records are found.
    ///   - callers: their ids, by label.
    ///   - longestLease: the longest time that a message may take.
    init(
        _ folder: LockedFolder, _ configuration: GatewayConfiguration.FileStore, _ memory: MemoryIdempotencyStore,
        callers: [String], longestLease: Duration, controlLoop: any EventLoop, logger: Logger
    ) async throws {
        let (path, threads) = (folder.path, folder.threads)
        options = configuration
        self.folder = folder
        self.callers = callers
        var options = RecordFiles.Options(unixMilliseconds: { Int64(UnixTime.milliseconds()) })
        options.outlivesMachine = configuration.durability == .machine
        options.longestLease = longestLease
        let files = RecordFiles(on: folder.disk, memory, threads: threads, options)
        let start = ContinuousClock.now
        loaded = try await threads.runIfActive {
            do throws(RecordFilesError) {
                return try files.load(now: .now(), callers: callers)
            } catch {
                throw Damaged(folder: path, error: error)
            }
        }
        self.files = files
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
        maintenance = controlLoop.scheduleRepeatedAsyncTask(initialDelay: Self.pause, delay: Self.pause) { _ in
            threads.runIfActive(eventLoop: controlLoop) {
                files.check(isHeld: folder.isHeld)
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

    /// To be called once no event loop writes any more.
    func close() async {
        maintenance.cancel()
        try? await folder.threads.runIfActive { [files] in files.close() }
    }
}
