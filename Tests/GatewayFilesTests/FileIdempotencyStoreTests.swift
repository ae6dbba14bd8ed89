import GatewayCore
import NIOCore
import Testing

@testable import GatewayFiles

struct FileIdempotencyStoreTests {
    private static let full = DiskError("No space left on device", isFull: true)

    // MARK: Restarts

    @Test func `what was claimed, settled and released is so in the next process`() throws {
        let bed = try FileBed()
        bed.accept(1...3)
        #expect(bed.claim(bed.request(4)) == ClaimReply(.owned, .file))
        _ = bed.claim(bed.request(5))
        bed.settle(bed.request(5), .unknown)
        _ = bed.claim(bed.request(6))
        bed.settle(bed.request(6), .released)

        let next = try bed.successor(after: 1000)
        for key in 1...3 as ClosedRange<UInt64> { #expect(next.state(key) == .accepted(FileBed.accepted)) }
        #expect(next.state(4) == .inFlight(left: .seconds(11)))
        #expect(next.state(5) == .unknown)
        #expect(next.state(6) == .absent)
        #expect(next.claim(next.request(1))?.outcome == .accepted(FileBed.accepted))
        // Its owner is dead; nobody ever settles it.
        next.advance(by: .seconds(11))
        #expect(next.claim(next.request(4))?.outcome == .unknown)
        #expect(next.claim(next.request(4, consent: true))?.outcome == .owned)
    }

    @Test func `a record ends when it would have ended without a restart`() throws {
        let bed = try FileBed()
        bed.accept(1...1)
        #expect(try bed.successor(after: 86_399_000).state(1) == .accepted(FileBed.accepted))
        #expect(try bed.successor(after: 1000).state(1) == .absent)
    }

    @Test func `a request id that is no UUID, and the owner of a resend, come back`() throws {
        let bed = try FileBed()
        let answer = AcceptedResponse(status: 299, region: .farEast, requestID: .text("id-of-amazon"))
        _ = bed.claim(bed.request(1))
        bed.settle(bed.request(1), .accepted(answer))
        _ = bed.claim(bed.request(2))
        bed.settle(bed.request(2), .unknown)
        #expect(bed.claim(bed.request(2, owner: 9, consent: true))?.outcome == .owned)
        let next = try bed.successor()
        #expect(next.state(1) == .accepted(answer))
        // The doubt outlives the attempt that was made with consent.
        next.settle(bed.request(2, owner: 9), .released)
        #expect(next.state(2) == .unknown)
    }

    @Test func `who waits for an attempt of a process that has ended is told when its lease is over`() throws {
        let bed = try FileBed()
        _ = bed.claim(bed.request(1))
        let next = try bed.successor(after: 2000)
        guard case .later(let future) = next.store.resultOfAttemptInFlight(next.request(1), on: next.loop) else {
            Issue.record("there is nothing to wait for")
            return
        }
        var answers = 0
        future.assumeIsolated().whenSuccess { if $0 == nil { answers += 1 } }
        next.advance(by: .seconds(9))
        #expect(answers == 0)
        next.advance(by: .seconds(1))
        #expect(answers == 1)
    }

    @Test func `records count in the share of their caller again, whatever its place is now`() throws {
        var configuration = MemoryIdempotencyStore.Configuration()
        configuration.maximumRecords = 8
        let bed = try FileBed(memory: configuration)
        bed.memory.share(among: 2)
        bed.accept(1...4, caller: 0)
        bed.accept(11...14, caller: 1)
        let next = try FileBed(
            bed.disk, clock: bed.clock, origin: 2, callers: ["shop", "orders"], memory: configuration)
        next.memory.share(among: 2)
        // The caller of 11 to 14 stores another one: its own oldest has to go.
        next.accept(15...15, caller: 0)
        #expect(next.state(11) == .absent)
        for key in [1, 2, 3, 4, 12, 13, 14, 15] as [UInt64] { #expect(next.state(key) == .accepted(FileBed.accepted)) }
    }

    // MARK: A disk that fails

    @Test(arguments: [0, 1, 40, 95], [false, true])
    func `without room nothing is claimed, and it goes on by itself`(bytes: Int, cannotTruncate: Bool) throws {
        let bed = try FileBed()
        bed.accept(1...1)
        bed.disk.fail(Self.full, afterBytes: bytes, cannotTruncate: cannotTruncate)
        #expect(bed.claim(bed.request(2)) == ClaimReply(.storeUnavailable, .file))
        #expect(bed.state(2) == .absent)
        #expect(!bed.store.isUp && bed.store.statistics.isFull && bed.store.statistics.failures == [.claim: 1])
        #expect(bed.claim(bed.request(1))?.outcome == .accepted(FileBed.accepted), "what is known needs no disk")
        bed.disk.fail(nil)
        #expect(bed.claim(bed.request(2))?.outcome == .owned)
        #expect(bed.store.isUp)
        bed.settle(bed.request(2), .accepted(FileBed.accepted))
        let next = try bed.successor()
        #expect([next.state(1), next.state(2)] == [.accepted(FileBed.accepted), .accepted(FileBed.accepted)])
    }

    @Test(arguments: [false, true])
    func `that there is room again is noticed without a message`(cannotTruncate: Bool) throws {
        let bed = try FileBed()
        bed.accept(1...1)
        bed.disk.fail(Self.full, afterBytes: 40, cannotTruncate: cannotTruncate)
        _ = bed.claim(bed.request(2))
        for _ in 0..<10 {
            bed.advance(by: .milliseconds(250))
            #expect(!bed.store.isUp)
        }
        bed.disk.fail(nil)
        bed.advance(by: .seconds(4))
        #expect(bed.store.isUp)
        let bytes = bed.disk.bytes
        bed.advance(by: .minutes(1))
        #expect(bed.disk.bytes == bytes, "nobody looks any more")
        bed.accept(3...3)
        let next = try bed.successor()
        #expect(next.loaded.tornEnds == (cannotTruncate ? 1 : 0))
        #expect(
            [1, 2, 3].map { next.state($0) } == [.accepted(FileBed.accepted), .absent, .accepted(FileBed.accepted)])
    }

    @Test(arguments: [Settlement.accepted(FileBed.accepted), .unknown, .released, .refused(status: 429)])
    func `a settlement that could not be written is written later`(settlement: Settlement) throws {
        let bed = try FileBed()
        _ = bed.claim(bed.request(1))
        bed.disk.fail(Self.full)
        #expect(bed.settle(bed.request(1), settlement) == .pending)
        #expect(bed.store.statistics.backlog == 1)
        // Killed now, the outcome would not be known.
        let killed = MemoryDisk()
        killed.contents = bed.disk.contents
        #expect(try FileBed(killed, clock: Atomic64(FileBed.start + 13_000)).state(1) == .unknown)
        bed.disk.fail(nil)
        bed.advance(by: .milliseconds(250))
        #expect(bed.store.statistics.backlog == 0 && bed.store.isUp)
        #expect(try bed.successor(after: 13_000).state(1) == bed.state(1))
    }

    @Test func `who waits is told the same as the caller, that it is not in the file`() throws {
        let bed = try FileBed()
        _ = bed.claim(bed.request(1))
        var told: AttemptResult?
        let waiting = bed.store.resultOfAttemptInFlight(bed.request(1, owner: 2), on: bed.loop)
        guard case .later(let future) = waiting else { return #expect(Bool(false), "there is nothing to wait for") }
        future.assumeIsolated().whenSuccess { told = $0 }
        bed.disk.fail(Self.full)
        #expect(bed.settle(bed.request(1), .accepted(FileBed.accepted)) == .pending)
        #expect(told?.isPending == true)
    }

    @Test func `if messages are to be sent all the same, they are, and are written down later`() throws {
        let bed = try FileBed(whenUnavailable: .forward)
        bed.disk.fail(Self.full)
        #expect(bed.claim(bed.request(1)) == ClaimReply(.owned, .memory))
        #expect(bed.settle(bed.request(1), .accepted(FileBed.accepted)) == .pending)
        #expect(bed.claim(bed.request(1, owner: 2))?.outcome == .accepted(FileBed.accepted))
        bed.disk.fail(nil)
        bed.advance(by: .milliseconds(250))
        #expect(try bed.successor().state(1) == .accepted(FileBed.accepted))
    }

    // MARK: Room

    @Test func `files in which everything has expired are removed`() throws {
        let bed = try FileBed()
        bed.accept(1...200)
        let before = bed.disk.bytes
        #expect(before > 8 * 4096 && before <= 200 * 200)
        bed.advance(by: .hours(24))
        bed.accept(201...201)
        #expect(bed.files.maintain(now: bed.now) == [])
        #expect(bed.disk.bytes < 2 * 4096)
        #expect(bed.files.bytes == bed.disk.bytes)
    }

    @Test func `a week of traffic takes no more room than its last day needs`() throws {
        let bed = try FileBed()
        var most = 0
        for step in 0..<(7 * 24 * 6) {
            let first = UInt64(step * 20)
            bed.accept(first..<first + 10)
            // Refused by Amazon: they leave nothing behind.
            for key in first + 10..<first + 20 {
                _ = bed.claim(bed.request(key))
                bed.settle(bed.request(key), .refused(status: 429))
            }
            bed.advance(by: .minutes(10))
            #expect(bed.files.maintain(now: bed.now) == [])
            most = max(most, bed.disk.bytes)
        }
        let aDay = 24 * 6 * 10
        // Twice what they need, the slack, and a segment in use for each writer.
        #expect(most <= 2 * aDay * 192 + (16 + 2) * 4096, "\(most)")
        #expect(bed.files.bytes == bed.disk.bytes)
        #expect(try (aDay - 10...aDay).contains(bed.successor().memory.count))
    }

    @Test func `what takes more room than twice what is needed is written again`() throws {
        let bed = try FileBed()
        // Refused messages leave nothing behind, and each took its room.
        for key in 1...4000 as ClosedRange<UInt64> {
            _ = bed.claim(bed.request(key))
            if key.isMultiple(of: 100) {
                bed.settle(bed.request(key), key.isMultiple(of: 200) ? .accepted(FileBed.accepted) : .unknown)
            } else {
                bed.settle(bed.request(key), .refused(status: 429))
            }
        }
        let before = bed.disk.bytes
        #expect(bed.files.maintain(now: bed.now) == [])
        #expect(bed.disk.bytes == before, "what was written a moment ago may still be released")
        bed.advance(by: .minutes(21))
        for _ in 0..<400 { #expect(bed.files.maintain(now: bed.now) == []) }
        #expect(bed.disk.bytes < 90_000 && before > 600_000, "\(before) \(bed.disk.bytes)")
        #expect(bed.files.bytes == bed.disk.bytes)
        let next = try bed.successor()
        #expect(next.memory.count == 40)
        for key in stride(from: 100, through: 4000, by: 100) {
            #expect(next.state(UInt64(key)) == (key.isMultiple(of: 200) ? .accepted(FileBed.accepted) : .unknown))
        }
    }

    @Test func `a file that is damaged while the process runs stays, is told of once, and holds up no other`() throws {
        let bed = try FileBed()
        for key in 1...4000 as ClosedRange<UInt64> {
            _ = bed.claim(bed.request(key))
            bed.settle(bed.request(key), key == 1 ? .accepted(FileBed.accepted) : .released)
        }
        bed.advance(by: .minutes(21))
        let first = try #require(bed.disk.contents.keys.min())
        bed.disk.contents[first]?[RecordSegment.headerBytes + 200] ^= 1
        let before = bed.disk.bytes
        let problems = bed.files.maintain(now: bed.now)
        #expect(problems.count == 1 && problems.first?.file == first, "\(problems)")
        #expect(bed.disk.contents[first] != nil && bed.disk.bytes < before / 4)
        #expect(bed.files.maintain(now: bed.now) == [])
        #expect(throws: RecordFilesError.self) { try bed.successor() }
    }

    @Test func `nothing is written once the store was shut down`() throws {
        let bed = try FileBed()
        bed.accept(1...1)
        bed.store.shutDown()
        let before = bed.disk.contents
        #expect(bed.claim(bed.request(2))?.outcome == .storeUnavailable)
        bed.advance(by: .seconds(1))
        #expect(bed.disk.contents == before)
    }

    @Test func `records that are put back in another order than they expire are removed as they expire`() throws {
        // So few that they are all in one place.
        var configuration = MemoryIdempotencyStore.Configuration()
        configuration.maximumRecords = 1000
        let bed = try FileBed(memory: configuration)
        _ = bed.claim(bed.request(1, retention: .hours(24)))
        bed.settle(bed.request(1, retention: .hours(24)), .accepted(FileBed.accepted))
        _ = bed.claim(bed.request(2, retention: .hours(1)))
        bed.settle(bed.request(2, retention: .hours(1)), .accepted(FileBed.accepted))
        let next = try FileBed(bed.disk, clock: bed.clock, origin: 2, memory: configuration)
        next.advance(by: .hours(2))
        for key in 100...400 as ClosedRange<UInt64> { _ = next.claim(next.request(key)) }
        #expect(next.memory.statistics(now: next.now).accepted == 1)
    }
}
