import GatewayCore
import GatewayFiles
import Logging
import NIOPosix

/// The folder of a file store, which no other process has.
struct LockedFolder: Sendable {
    /// One to sync, one to look after the files.
    private static let threadCount = 2

    let path: String
    let disk: DiskFolder
    /// For what may have to wait for the disk.
    let threads: NIOThreadPool
    private let lock: FolderLock

    /// Waits until no other process has the folder.
    ///
    /// - Returns: nil where records are not in files.
    static func take(for configuration: GatewayConfiguration.Idempotency, _ logger: Logger) async throws
        -> LockedFolder?
    {
        guard configuration.kind == .file, let path = configuration.file.directory else { return nil }
        let threads = NIOThreadPool(numberOfThreads: threadCount)
        threads.start()
        let lock = try await threads.runIfActive {
            try FolderLock.take(path) { process in
                logger.notice(
                    "waiting for another process to release the records",
                    metadata: [
                        "gateway.store.directory": "\(path)", "process.pid": "\(process.map(String.init) ?? "unknown")",
                    ])
            }
        }
        return LockedFolder(path: path, disk: DiskFolder(path), threads: threads, lock: lock)
    }

    /// Whether it is still the folder that this process has locked.
    var isHeld: Bool { lock.isInForce }

    /// Lets the next process have the folder. To be called once nobody writes to it any more.
    func release() async {
        try? await threads.shutdownGracefully()
        lock.release()
    }
}
