import GatewayCore
import GatewayFiles
import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization

/// A process with a file store, on an event loop whose time the test moves; the next process finds what it left.
final class FileBed {
    static let fingerprint = RequestFingerprint(words: (11, 12))
    static let accepted = AcceptedResponse(status: 202, region: .europe, requestID: .uuid(5, 6))
    static let start: Int64 = 1_795_497_192_000

    let disk: MemoryDisk
    let loop: EmbeddedEventLoop
    let memory: MemoryIdempotencyStore
    let files: RecordFiles
    let store: FileIdempotencyStore
    let loaded: LoadedRecords
    /// Unix time, in milliseconds.
    let clock: Atomic64
    private let origin: UInt64

    init(
        _ disk: MemoryDisk = MemoryDisk(), clock: Atomic64 = Atomic64(start), origin: UInt64 = 1,
        whenUnavailable: FileIdempotencyStore.WhenUnavailable = .refuse, longestSegment: Int = 4096,
        callers: [String] = ["orders", "shop"], memory configuration: MemoryIdempotencyStore.Configuration = .init()
    ) throws {
        self.disk = disk
        self.clock = clock
        self.origin = origin
        loop = EmbeddedEventLoop()
        memory = MemoryIdempotencyStore(configuration, eventLoops: 16, numbersChanges: true)
        var options = RecordFiles.Options(unixMilliseconds: { clock.value })
        options.longestSegment = longestSegment
        options.slack = 16 * longestSegment
        files = RecordFiles(on: disk, memory, threads: .singleton, options)
        loaded = try files.load(now: loop.now, callers: callers)
        store = FileIdempotencyStore(files, stream: 0, whenUnavailable: whenUnavailable, eventLoop: loop)
        store.use(callers: callers)
    }

    /// What comes after it was killed: nothing of it goes on, and time has passed.
    func successor(after milliseconds: Int64 = 0, longestSegment: Int = 4096) throws -> FileBed {
        clock.value += milliseconds
        return try FileBed(disk, clock: clock, origin: origin + 1, longestSegment: longestSegment)
    }

    /// The test's time. Where the loop's own module is not imported, `loop.now` is the machine's.
    var now: NIODeadline { loop.now }

    /// Time goes on for the process and the wall clock.
    func advance(by duration: TimeAmount) {
        clock.value += duration.nanoseconds / 1_000_000
        loop.advanceTime(by: duration)
    }

    func request(
        _ key: UInt64, owner: UInt64 = 1, caller: Int = 0, consent: Bool = false,
        lease: TimeAmount = .seconds(12), retention: TimeAmount = .hours(24)
    ) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: IdempotencyScope(words: (key &* 0x9E37_79B9_7F4A_7C15, key, 0, 0)), fingerprint: Self.fingerprint,
            owner: AttemptID(origin: origin, number: key << 16 | owner), lease: lease, retention: retention,
            consent: consent, caller: caller)
    }

    func claim(_ claim: IdempotencyClaim) -> ClaimReply? {
        guard case .now(let reply) = store.claim(claim, on: loop) else { return nil }
        return reply
    }

    @discardableResult
    func settle(_ claim: IdempotencyClaim, _ settlement: Settlement) -> SettlementReply? {
        let result = AttemptResult(.success(UpstreamResponse(status: 202)), region: nil)
        guard case .now(let reply) = store.settle(claim, settlement, result: result, on: loop) else { return nil }
        return reply
    }

    func state(_ key: UInt64) -> KeyReport.State? {
        guard case .now(let report) = store.report(on: request(key).scope, on: loop) else { return nil }
        return report?.state
    }

    /// Claims and accepts messages under these keys.
    func accept(_ keys: some Sequence<UInt64>, caller: Int = 0) {
        for key in keys {
            _ = claim(request(key, caller: caller))
            settle(request(key, caller: caller), .accepted(Self.accepted))
        }
    }
}

/// A number that many may read while one changes it.
final class Atomic64: Sendable {
    private let number: Atomic<Int64>

    init(_ number: Int64) { self.number = Atomic(number) }

    var value: Int64 {
        get { number.load(ordering: .relaxed) }
        set { number.store(newValue, ordering: .relaxed) }
    }
}
