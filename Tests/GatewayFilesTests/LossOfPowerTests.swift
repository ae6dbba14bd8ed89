import GatewayCore
import NIOCore
import NIOPosix
import StoreContract
import Synchronization
import Testing

@testable import GatewayFiles

/// `durability: machine`, on a disk that forgets what was not synced.
struct LossOfPowerTests {
    private static let accepted = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(5, 6))
    private static let broken = DiskError("Input/output error")

    private static func scope(_ key: UInt64) -> IdempotencyScope {
        IdempotencyScope(words: (key &* 0x9E37_79B9_7F4A_7C15, key, 0, 0))
    }

    private static func claim(_ key: UInt64) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: scope(key), fingerprint: RequestFingerprint(words: (11, 12)),
            owner: AttemptID(origin: 1, number: key), lease: .seconds(12), retention: .hours(24), consent: false)
    }

    private static func store(on disk: MemoryDisk) async throws -> StoreOnLoop {
        var options = RecordFiles.Options(unixMilliseconds: { 1_795_497_192_000 })
        options.outlivesMachine = true
        options.longestSegment = 2048
        let files = RecordFiles(
            on: disk, MemoryIdempotencyStore(eventLoops: 16, numbersChanges: true), threads: .singleton, options)
        _ = try files.load(now: .now(), callers: [])
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        return try await StoreOnLoop(on: loop) {
            (FileIdempotencyStore(files, stream: 0, whenUnavailable: .refuse, eventLoop: loop), nil)
        }
    }

    /// What a process on this disk knows of a key.
    private static func states(on disk: MemoryDisk, _ keys: ClosedRange<UInt64>) async throws -> [KeyReport.State?] {
        let store = try await store(on: disk)
        var states: [KeyReport.State?] = []
        for key in keys { states.append(try await store.report(scope(key))?.state) }
        return states
    }

    /// What callers were told.
    private struct Told {
        var owned: Set<UInt64> = []
        var accepted: Set<UInt64> = []
    }

    private final class Book: Sendable {
        private let told = Mutex(Told())

        func owned(_ key: UInt64) { told.withLock { _ = $0.owned.insert(key) } }
        func accepted(_ key: UInt64) { told.withLock { _ = $0.accepted.insert(key) } }
        var now: Told { told.withLock { $0 } }
    }

    @Test func `what anybody was told of is there after a loss of power at any moment`() async throws {
        var losses = 0
        while losses < 200 {
            let disk = MemoryDisk()
            let store = try await Self.store(on: disk)
            let book = Book()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for key in 1...40 as ClosedRange<UInt64> {
                    tasks.addTask {
                        guard try await store.claim(Self.claim(key)) == .owned else { return }
                        book.owned(key)
                        guard try await store.settle(Self.claim(key), .accepted(Self.accepted)) == .confirmed else {
                            return
                        }
                        book.accepted(key)
                    }
                }
                // At twenty moments while they go on.
                for _ in 0..<20 {
                    let before = book.now
                    let lost = disk.afterLossOfPower()
                    let after = book.now
                    losses += 1
                    for (index, state) in try await Self.states(on: lost, 1...40).enumerated() {
                        let key = UInt64(index + 1)
                        if before.owned.contains(key) { #expect(state != .absent, "the claim of \(key) is lost") }
                        if before.accepted.contains(key) {
                            #expect(state == .accepted(Self.accepted), "\(key) is \(String(describing: state))")
                        }
                        if case .accepted = state { #expect(after.owned.contains(key), "\(key) was never accepted") }
                    }
                }
                try await tasks.waitForAll()
            }
        }
    }

    @Test(arguments: [false, true])
    func `a sync that failed counts for nothing, even if the next one works`(isOfFolder: Bool) async throws {
        let disk = MemoryDisk()
        let store = try await Self.store(on: disk)
        if !isOfFolder { #expect(try await store.claim(Self.claim(1)) == .owned) }
        if isOfFolder { disk.failFolderSyncs(Self.broken) } else { disk.failSyncs(Self.broken) }
        #expect(try await store.claim(Self.claim(2)) == .storeUnavailable)
        disk.failSyncs(nil)
        disk.failFolderSyncs(nil)
        #expect(try await store.claim(Self.claim(3)) == .owned)
        let states = try await Self.states(on: disk.afterLossOfPower(), 1...3)
        if !isOfFolder { #expect(states[0] != .absent) }
        #expect(states[2] != .absent)
        #expect(states.allSatisfy { if case .accepted = $0 { false } else { true } })
    }

    @Test func `a settlement whose sync failed is written again`() async throws {
        let disk = MemoryDisk()
        let store = try await Self.store(on: disk)
        #expect(try await store.claim(Self.claim(1)) == .owned)
        disk.failSyncs(Self.broken)
        #expect(try await store.settle(Self.claim(1), .accepted(Self.accepted)) == .pending)
        disk.failSyncs(nil)
        try await until {
            try await store.read { ($0 as? FileIdempotencyStore)?.statistics.backlog == 0 }
        }
        #expect(try await Self.states(on: disk.afterLossOfPower(), 1...1) == [.accepted(Self.accepted)])
    }

    @Test func `a disk that hangs holds nobody up for long`() async throws {
        let disk = MemoryDisk()
        let store = try await Self.store(on: disk)
        #expect(try await store.claim(Self.claim(1)) == .owned)
        disk.stallSyncs()
        #expect(try await store.claim(Self.claim(2)) == .storeUnavailable)
        #expect(try await store.claim(Self.claim(3)) == .storeUnavailable)
        #expect(try await store.read { ($0 as? FileIdempotencyStore)?.isUp } == false)
        disk.goOn()
        try await until { try await store.claim(Self.claim(4)) == .owned }
        #expect(try await store.read { ($0 as? FileIdempotencyStore)?.isUp } == true)
    }
}
