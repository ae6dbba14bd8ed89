import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import GatewayCore

@Suite struct MemoryIdempotencyStoreTests {
    private func scope(_ number: UInt64) -> IdempotencyScope {
        var generator = SeededGenerator(seed: number)
        return IdempotencyScope(words: (generator.next(), generator.next(), generator.next(), generator.next()))
    }

    private func claim(_ number: UInt64, attempt: UInt64 = 1, caller: Int = 0) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: scope(number), fingerprint: .init(words: (number, 0)), owner: .init(origin: 0, number: attempt),
            lease: .seconds(15), retention: .seconds(3600), consent: false, caller: caller)
    }

    /// Accepts so many messages of a caller under keys of their own.
    private func accept(
        _ numbers: Range<UInt64>, of caller: Int, in store: MemoryIdempotencyStore, on loop: EmbeddedEventLoop
    ) throws {
        for number in numbers {
            let claim = claim(number, caller: caller)
            #expect(try now(store.claim(claim, on: loop)).outcome == .owned)
            try now(store.settle(claim, .accepted(accepted), result: result, on: loop))
        }
    }

    private func accepted(_ numbers: Range<UInt64>, of caller: Int, in store: MemoryIdempotencyStore) -> Int {
        numbers.count {
            store.acceptedResponse(to: claim($0, attempt: 2, caller: caller), now: .uptimeNanoseconds(0)) != nil
        }
    }

    @discardableResult
    private func now<Value>(_ eventual: Eventual<Value>) throws -> Value {
        guard case .now(let value) = eventual else { throw TestError.notAtOnce }
        return value
    }

    private enum TestError: Error { case notAtOnce, atOnce }

    private let accepted = AcceptedResponse(status: 202, region: .farEast, requestID: .uuid(1, 2))
    private let result = AttemptResult(.success(UpstreamResponse(status: 202)), region: .farEast)

    @Test func `the table behaves as a dictionary does, for random records`() {
        var generator = SeededGenerator(seed: 3)
        var table = IdempotencyRecordTable()
        var model: [IdempotencyScope: IdempotencyRecord] = [:]
        for step in 0..<30_000 {
            let scope = scope(UInt64.random(in: 0..<2_000, using: &generator))
            var record: IdempotencyRecord?
            let fingerprint = RequestFingerprint(words: (UInt64(step), 7))
            let expires = NIODeadline.uptimeNanoseconds(UInt64(step))
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: record = nil
            case 1: record = .init(fingerprint: fingerprint, state: .unknown, expires: expires)
            case 2:
                record = .init(
                    fingerprint: fingerprint,
                    state: .sending(owner: .init(origin: 4, number: 5), leaseEnds: expires + .seconds(1)),
                    expires: expires)
            case 3: record = .init(fingerprint: fingerprint, state: .accepted(accepted), expires: expires)
            case 4:
                let other = AcceptedResponse(status: 200, region: .europe, requestID: .text("text-\(step)"))
                record = .init(fingerprint: fingerprint, state: .accepted(other), expires: expires)
            default:
                let other = AcceptedResponse(status: 202, region: .northAmerica, requestID: nil)
                record = .init(fingerprint: fingerprint, state: .accepted(other), expires: expires)
            }
            table.replace(scope, with: record, of: step % 3)
            model[scope] = record
            #expect(table.record(scope) == record)
        }
        for (scope, record) in model { #expect(table.record(scope) == record) }
        #expect(table.counts.all == model.count)
    }

    @Test(arguments: [true, false])
    func `what lives shorter does not wait for what was there before it`(isAccepted: Bool) {
        var table = IdempotencyRecordTable()
        let answer = AcceptedResponse(status: 202, region: .europe, requestID: nil)
        func put(_ number: UInt64, expires: UInt64, isBrief: Bool) {
            let state: IdempotencyRecord.State = isAccepted ? .accepted(answer) : .unknown
            table.replace(
                IdempotencyScope(words: (number, 0, 0, 0)),
                with: .init(fingerprint: .init(words: (0, 0)), state: state, expires: .uptimeNanoseconds(expires)),
                of: 0, isBrief: isBrief)
        }
        put(1, expires: 1000, isBrief: false)
        for number in 2...5 as ClosedRange<UInt64> { put(number, expires: 10 * number, isBrief: true) }
        put(6, expires: 1001, isBrief: false)
        var gone: [UInt64] = []
        while let removed = table.removeExpired(of: 0, now: .uptimeNanoseconds(1000)) {
            gone.append(removed.expires.uptimeNanoseconds)
        }
        #expect(gone == [1000, 20, 30, 40, 50])
        #expect(table.counts.all == 1)
        // Where room is needed, what was settled first goes first, however long it would have lived.
        put(7, expires: 2000, isBrief: true)
        put(8, expires: 900, isBrief: true)
        put(9, expires: 3000, isBrief: false)
        let evicted = (0..<4).map { _ in table.evictOldestSettled(of: 0)?.expires.uptimeNanoseconds }
        #expect(evicted == (isAccepted ? [1001, 900, 2000, 3000] : [nil, nil, nil, nil]))
    }

    @Test func `how long one caller's records live keeps nobody else's`() {
        var table = IdempotencyRecordTable()
        func put(_ number: UInt64, expires: UInt64, of caller: Int) {
            table.replace(
                IdempotencyScope(words: (number, 0, 0, 0)),
                with: .init(
                    fingerprint: .init(words: (0, 0)), state: .unknown, expires: .uptimeNanoseconds(expires)),
                of: caller, isBrief: true)
        }
        put(1, expires: 10_000, of: 1)
        for number in 2...4 as ClosedRange<UInt64> { put(number, expires: 10 * number, of: 0) }
        // The window of caller 1 is shorter after a reload.
        put(5, expires: 50, of: 1)
        for expected in [20, 30, 40] as [UInt64] {
            #expect(table.removeExpired(of: 0, now: .uptimeNanoseconds(60))?.expires.uptimeNanoseconds == expected)
        }
        #expect(table.removeExpired(of: 1, now: .uptimeNanoseconds(60))?.expires.uptimeNanoseconds == 50)
        #expect(table.removeExpired(of: 1, now: .uptimeNanoseconds(60)) == nil)
        #expect(table.counts.all == 1)
    }

    /// Puts an accepted record of caller 0.
    private func put(
        _ number: UInt64, expires: UInt64, receivedAt: Int64? = nil, in table: inout IdempotencyRecordTable
    ) {
        let answer = AcceptedResponse(status: 202, region: .europe, requestID: nil, receivedAt: receivedAt)
        table.replace(
            scope(number),
            with: .init(
                fingerprint: .init(words: (0, 0)), state: .accepted(answer), expires: .uptimeNanoseconds(expires)),
            of: 0)
    }

    @Test func `a receipt leaves its record where it stands, and it is evicted when it would have been`() {
        var table = IdempotencyRecordTable()
        for number in 1...3 as ClosedRange<UInt64> { put(number, expires: 100, in: &table) }
        put(1, expires: 100, receivedAt: 7, in: &table)
        #expect(table.counts.accepted == 3)
        _ = table.evictOldestSettled(of: 0)
        #expect(table.record(scope(1)) == nil && table.record(scope(2)) != nil)
        put(2, expires: 200, receivedAt: 8, in: &table)
        _ = table.evictOldestSettled(of: 0)
        #expect(table.record(scope(3)) == nil && table.record(scope(2)) != nil)
    }

    @Test func `records that live shorter than very many before them stay a while longer`() {
        var table = IdempotencyRecordTable()
        for number in 0..<5_000 as Range<UInt64> { put(number, expires: 10_000 + number, in: &table) }
        for number in 5_000..<5_010 as Range<UInt64> { put(number, expires: number - 4_900, in: &table) }
        #expect(table.removeExpired(of: 0, now: .uptimeNanoseconds(9_999)) == nil)
        var removed = 0
        while table.removeExpired(of: 0, now: .uptimeNanoseconds(11_000)) != nil { removed += 1 }
        #expect(removed == 1_011)
        #expect(table.counts.accepted == 3_999)
    }

    @Test func `expired records go, oldest first, without a scan`() {
        var table = IdempotencyRecordTable()
        for number in 0..<100 {
            let expires = NIODeadline.uptimeNanoseconds(UInt64(number))
            table.replace(
                scope(UInt64(number)),
                with: .init(fingerprint: .init(words: (0, 0)), state: .accepted(accepted), expires: expires),
                of: 0)
        }
        for number in 0..<10 {
            let removed = table.removeExpired(of: 0, now: .uptimeNanoseconds(49))
            #expect(removed?.expires == .uptimeNanoseconds(UInt64(number)))
        }
        #expect(table.record(scope(9)) == nil)
        #expect(table.record(scope(10)) != nil)
        var removed = 0
        while table.removeExpiredInTurn(now: .uptimeNanoseconds(49)) != nil { removed += 1 }
        #expect(removed == 40)
        #expect(table.counts.accepted == 50)
    }

    @Test func `full, the oldest settled record goes and held ones stay`() throws {
        var configuration = MemoryIdempotencyStore.Configuration()
        configuration.maximumRecords = 3
        let store = MemoryIdempotencyStore(configuration, eventLoops: 16)
        let loop = EmbeddedEventLoop()
        for number in 1...3 as ClosedRange<UInt64> {
            #expect(try now(store.claim(claim(number), on: loop)).outcome == .owned)
        }
        #expect(try now(store.claim(claim(4), on: loop)).outcome == .storeFull)
        try now(store.settle(claim(2), .accepted(accepted), result: result, on: loop))
        #expect(try now(store.claim(claim(4), on: loop)).outcome == .owned)
        #expect(try now(store.report(on: scope(2), on: loop)) == KeyReport(.absent))
        #expect(
            store.statistics(now: loop.now)
                == .init(sending: 3, unknown: 0, accepted: 0, expired: 0, evicted: 1, evictedEarlyBy: .seconds(3600)))
        loop.advanceTime(by: .seconds(61))
        #expect(store.statistics(now: loop.now).evictedEarlyBy == nil)
    }

    @Test(arguments: [1, 16]) func `what one caller stores beyond its share evicts its own, oldest first`(
        eventLoops: Int
    ) throws {
        var configuration = MemoryIdempotencyStore.Configuration()
        configuration.maximumRecords = 10_000
        let store = MemoryIdempotencyStore(configuration, eventLoops: eventLoops)
        store.share(among: 2)
        let loop = EmbeddedEventLoop()
        try accept(0..<5_000, of: 0, in: store, on: loop)
        // The other one floods the store, with twice as many keys as there is room for.
        try accept(100_000..<120_000, of: 1, in: store, on: loop)
        #expect(accepted(0..<5_000, of: 0, in: store) == 5_000)
        #expect(accepted(100_000..<114_000, of: 1, in: store) == 0)
        #expect(store.evictedByCaller == [0, 15_000])
    }

    @Test(arguments: [1, 16]) func `a caller below its share gets room from the one that has most`(eventLoops: Int)
        throws
    {
        var configuration = MemoryIdempotencyStore.Configuration()
        configuration.maximumRecords = 3_000
        let store = MemoryIdempotencyStore(configuration, eventLoops: eventLoops)
        store.share(among: 3)
        let loop = EmbeddedEventLoop()
        try accept(0..<1_000, of: 0, in: store, on: loop)
        try accept(10_000..<12_000, of: 1, in: store, on: loop)
        try accept(20_000..<21_000, of: 2, in: store, on: loop)
        #expect(accepted(0..<1_000, of: 0, in: store) == 1_000)
        #expect(accepted(10_000..<12_000, of: 1, in: store) == 1_000)
        #expect(accepted(20_000..<21_000, of: 2, in: store) == 1_000)
    }

    @Test func `records that cannot be evicted take no other caller's share`() throws {
        for whenFull in MemoryIdempotencyStore.Configuration.WhenFull.allCases {
            var configuration = MemoryIdempotencyStore.Configuration()
            configuration.maximumRecords = 100
            configuration.whenFull = whenFull
            let store = MemoryIdempotencyStore(configuration, eventLoops: 1)
            store.share(among: 2)
            let loop = EmbeddedEventLoop()
            for number in 0..<50 as Range<UInt64> {
                #expect(try now(store.claim(claim(number, caller: 1), on: loop)).outcome == .owned)
            }
            #expect(try now(store.claim(claim(50, caller: 1), on: loop)).outcome == .storeFull)
            try accept(1_000..<1_050, of: 0, in: store, on: loop)
            #expect(accepted(1_000..<1_050, of: 0, in: store) == 50)
        }
    }

    @Test(arguments: [1, 16]) func `keys whose scopes are alike in any part are spread all the same`(eventLoops: Int)
        throws
    {
        var configuration = MemoryIdempotencyStore.Configuration()
        configuration.maximumRecords = 16_000
        let store = MemoryIdempotencyStore(configuration, eventLoops: eventLoops)
        let loop = EmbeddedEventLoop()
        // What somebody can find who tries keys until the words of their scopes agree in the bits that chose a place before.
        for number in 0..<16_000 as Range<UInt64> {
            var claim = claim(number)
            claim.scope = IdempotencyScope(words: (number << 32, number << 32, 0, 0))
            #expect(try now(store.claim(claim, on: loop)).outcome == .owned)
            try now(store.settle(claim, .accepted(accepted), result: result, on: loop))
        }
        #expect(store.statistics(now: loop.now).evicted == 0)
    }

    @Test func `full and told to refuse, it forgets nothing`() throws {
        var configuration = MemoryIdempotencyStore.Configuration()
        configuration.maximumRecords = 1
        configuration.whenFull = .refuse
        let store = MemoryIdempotencyStore(configuration, eventLoops: 16)
        let loop = EmbeddedEventLoop()
        #expect(try now(store.claim(claim(1), on: loop)).outcome == .owned)
        try now(store.settle(claim(1), .accepted(accepted), result: result, on: loop))
        #expect(try now(store.claim(claim(2), on: loop)).outcome == .storeFull)
        #expect(try now(store.claim(claim(1, attempt: 2), on: loop)).outcome == .accepted(accepted))
        loop.advanceTime(by: .seconds(3600))
        #expect(try now(store.claim(claim(2), on: loop)).outcome == .owned)
    }

    @Test func `those who wait get the answer of the first, whatever it is`() throws {
        let loop = EmbeddedEventLoop()
        let refusal = AttemptResult(.success(UpstreamResponse(status: 429)), region: .europe)
        for (settlement, result) in [(Settlement.accepted(accepted), result), (.released, refusal)] {
            let store = MemoryIdempotencyStore(eventLoops: 16)
            #expect(try now(store.resultOfAttemptInFlight(claim(1), on: loop)) == nil)
            _ = store.claim(claim(1), on: loop)
            let waiting = (0..<3).map { _ in store.resultOfAttemptInFlight(claim(1), on: loop) }
            try now(store.settle(claim(1), settlement, result: result, on: loop))
            for eventual in waiting {
                guard case .later(let future) = eventual else { throw TestError.atOnce }
                let given = try #require(try future.wait())
                #expect(try given.response.get() == result.response.get() && given.region == result.region)
            }
            #expect(try now(store.resultOfAttemptInFlight(claim(1), on: loop)) == nil)
        }
    }
}
