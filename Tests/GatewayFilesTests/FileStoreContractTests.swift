import Foundation
import GatewayCore
import GatewayFiles
import NIOCore
import NIOPosix
import StoreContract
import Testing

struct FileStoreContractTests {
    @Test(arguments: [false, true])
    func `records in files keep the contract`(outlivesMachine: Bool) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = RecordFiles.Options(unixMilliseconds: { Int64(Date().timeIntervalSince1970 * 1000) })
        options.outlivesMachine = outlivesMachine
        options.longestSegment = 4096
        let memory = MemoryIdempotencyStore(eventLoops: 16, numbersChanges: true)
        let files = RecordFiles(on: DiskFolder(folder.path), memory, threads: .singleton, options)
        _ = try files.load(now: .now(), callers: [])
        var stores: [StoreOnLoop] = []
        for stream in 0..<2 {
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            stores.append(
                try await StoreOnLoop(on: loop) {
                    (FileIdempotencyStore(files, stream: stream, whenUnavailable: .refuse, eventLoop: loop), nil)
                })
        }
        try await StoreContract(one: stores[0], other: stores[1]).check()
        #expect(files.bytes > 4096)

        // All of it is what another process finds.
        let other = MemoryIdempotencyStore(eventLoops: 16, numbersChanges: true)
        let loaded = try RecordFiles(on: DiskFolder(folder.path), other, threads: .singleton, options)
            .load(now: .now(), callers: [])
        #expect(loaded.tornEnds == 0 && loaded.entries > 40)
        #expect(other.count == memory.statistics(now: .now()).all)
    }
}

extension MemoryIdempotencyStore.Statistics {
    fileprivate var all: Int { sending + unknown + accepted }
}
