import GatewayCore
import NIOCore
import TestSupport
import Testing

@testable import GatewayUpstream

@Suite struct PoolStateMachineTests {
    private func at(_ seconds: Double) -> NIODeadline {
        .uptimeNanoseconds(1_000_000_000) + .milliseconds(Int(seconds * 1000))
    }

    private func pool(maximum: Int = 10, connecting: Int = 10, uses: Int = 9000) -> PoolStateMachine {
        var configuration = PoolStateMachine.Configuration()
        configuration.maximumConnections = maximum
        configuration.maximumConnecting = connecting
        configuration.maximumUses = uses
        return PoolStateMachine(configuration)
    }

    /// Opens a connection for a message and gives it back; returns its number.
    private func warm(_ pool: inout PoolStateMachine, at time: Double) -> Int {
        guard case .wait(_, let connect?) = pool.lease(now: at(time)) else { return -1 }
        guard pool.connected(connect, now: at(time)).connection == .handToFirstWaiter else { return -1 }
        _ = pool.released(connect, wasUsed: true, now: at(time))
        return connect
    }

    @Test func `the newest idle connection is taken first`() {
        var pool = pool()
        guard case .wait(_, let one?) = pool.lease(now: at(0)),
            case .wait(_, let other?) = pool.lease(now: at(0))
        else { return #expect(Bool(false), "both wait for a connection") }
        #expect(pool.connected(one, now: at(0)).connection == .handToFirstWaiter)
        #expect(pool.connected(other, now: at(0)).connection == .handToFirstWaiter)
        #expect(pool.released(one, wasUsed: true, now: at(1)) == .none)
        #expect(pool.released(other, wasUsed: true, now: at(2)) == .none)
        #expect(pool.lease(now: at(3)) == .use(other))
        #expect(pool.lease(now: at(3)) == .use(one))
    }

    @Test func `no more connections are opened than allowed, and a freed one goes to who waits`() {
        var pool = pool(maximum: 1)
        let connection = warm(&pool, at: 0)
        #expect(pool.lease(now: at(0)) == .use(connection))
        guard case .wait(let until, nil) = pool.lease(now: at(0)),
            case .wait(_, nil) = pool.lease(now: at(0.1))
        else { return #expect(Bool(false), "the pool is full") }
        #expect(until == at(0.25))
        #expect(pool.released(connection, wasUsed: true, now: at(0.2)) == .handToFirstWaiter)
        pool.waitersTimedOut(1)
        #expect(pool.released(connection, wasUsed: true, now: at(0.4)) == .none)
    }

    /// A pool of one connection that is leased, with one message behind it, since time 0; and what was told of the loop's rests.
    private func poolWithQueue(eventLoopRests: Int) -> (PoolStateMachine, connection: Int) {
        var pool = pool(maximum: 1)
        let connection = warm(&pool, at: 0)
        #expect(pool.lease(now: at(0)) == .use(connection))
        pool.sampled(eventLoopRests: eventLoopRests)
        #expect(pool.lease(now: at(0)) == .wait(until: at(0.25), connect: nil))
        return (pool, connection)
    }

    @Test func `who joins a queue that has stood for long may wait for a short time only`() {
        var (pool, connection) = poolWithQueue(eventLoopRests: 100)
        #expect(pool.lease(now: at(0.2)) == .wait(until: at(0.45), connect: nil))
        #expect(pool.released(connection, wasUsed: true, now: at(0.24)) == .handToFirstWaiter)
        #expect(pool.lease(now: at(0.25)) == .wait(until: at(0.275), connect: nil))
        // It empties, and the next that has to wait may do so for as long as ever.
        pool.waitersTimedOut(2)
        #expect(pool.lease(now: at(0.3)) == .wait(until: at(0.55), connect: nil))
    }

    @Test func `who waits for the event loop is not refused for it`() {
        var (pool, _) = poolWithQueue(eventLoopRests: 0)
        #expect(pool.lease(now: at(0.3)) == .wait(until: at(0.55), connect: nil))
    }

    @Test func `who waits while the pool still grows is not refused for it`() {
        var pool = pool(maximum: 3)
        let connection = warm(&pool, at: 0)
        #expect(pool.lease(now: at(0)) == .use(connection))
        pool.sampled(eventLoopRests: 100)
        guard case .wait(_, let second?) = pool.lease(now: at(0)),
            case .wait(_, _?) = pool.lease(now: at(0.2)),
            case .wait(let until, nil) = pool.lease(now: at(0.3))
        else { return #expect(Bool(false), "two more connections are opened") }
        #expect(until == at(2.4), "both are being opened")
        #expect(pool.connected(second, now: at(0.3)).connection == .handToFirstWaiter)
        #expect(pool.lease(now: at(0.4)) == .wait(until: at(0.425), connect: nil), "no more may be opened")
    }

    @Test func `who waits for the first connections has the time of a handshake, however long others have waited`() {
        var pool = pool(maximum: 3)
        pool.sampled(eventLoopRests: 100)
        for time in [0, 0.3, 1.9] {
            guard case .wait(let until, _?) = pool.lease(now: at(time)) else {
                return #expect(Bool(false), "a connection is opened for each")
            }
            #expect(until == at(time + 2.1))
        }
    }

    @Test func `a burst on a cold pool opens a bounded number of connections at once`() {
        var pool = pool(maximum: 100, connecting: 4)
        pool.sampled(eventLoopRests: 1)
        let opened = (0..<50).compactMap { _ -> Int? in
            if case .wait(_, let connect) = pool.lease(now: at(0)) { connect } else { nil }
        }
        #expect(opened.count == 4)
        #expect(pool.connectingCount == 4)
        // Each that is established makes room for the next.
        var established = opened
        while let id = established.popLast() {
            let action = pool.connected(id, now: at(0.1))
            #expect(action.connection != .none)
            if let next = action.connect { established.append(next) }
        }
        #expect(pool.leasedCount == 50)
    }

    @Test func `a failed connect tells one waiter and opens another for the rest`() {
        var pool = pool(maximum: 100, connecting: 1)
        guard case .wait(_, let connect?) = pool.lease(now: at(0)), case .wait = pool.lease(now: at(0)),
            case let action = pool.connectFailed(connect), let next = action.connect
        else { return #expect(Bool(false), "the second waiter is owed a connection") }
        #expect(action.failsFirstWaiter)
        #expect(next != connect)
    }

    @Test func `a connection is closed after so many uses, after its age, and when idle for too long`() {
        var pool = pool(uses: 2)
        let worn = warm(&pool, at: 0)
        #expect(pool.lease(now: at(0)) == .use(worn))
        #expect(pool.released(worn, wasUsed: true, now: at(0)) == .close)
        _ = pool.closed(worn)
        let unused = warm(&pool, at: 0)
        #expect(pool.lease(now: at(1)) == .use(unused))
        #expect(pool.released(unused, wasUsed: false, now: at(1)) == .none)
        #expect(pool.closeExpired(now: at(30.9)) == [])
        #expect(pool.closeExpired(now: at(31)) == [unused])
        #expect(pool.isEmpty)
        let old = warm(&pool, at: 100)
        #expect(pool.lease(now: at(101)) == .use(old))
        #expect(pool.released(old, wasUsed: false, now: at(700)) == .close)
    }

    /// A pool with as many leased connections as are opened at once.
    private func poolOfBusyLoop() -> (PoolStateMachine, leased: [Int]) {
        var configuration = PoolStateMachine.Configuration()
        configuration.connectionsOpenedAtOnce = 4
        var pool = PoolStateMachine(configuration)
        var leased: [Int] = []
        for _ in 0..<4 {
            guard case .wait(_, let connect?) = pool.lease(now: at(0)) else { continue }
            _ = pool.connected(connect, now: at(0))
            leased.append(connect)
        }
        return (pool, leased)
    }

    /// One after the other, each is given back and taken again.
    private func use(_ connections: [Int], of pool: inout PoolStateMachine, times: Int) {
        for _ in 0..<times {
            for connection in connections {
                #expect(pool.released(connection, wasUsed: true, now: at(0)) == .none)
                #expect(pool.lease(now: at(0)) == .use(connection))
            }
        }
    }

    @Test func `a loop that never rests opens no more connections than it needs`() {
        var (pool, leased) = poolOfBusyLoop()
        use(leased, of: &pool, times: 100)
        pool.sampled(eventLoopRests: 3)
        #expect(pool.lease(now: at(0.1)) == .wait(until: at(0.35), connect: nil))
        // It rests again, and nothing has come back: it is Amazon that is waited for.
        pool.sampled(eventLoopRests: 200)
        let connect = pool.connectForWaiters()
        #expect(connect != nil)
        #expect(pool.connectForWaiters() == nil, "one waits, and one is being opened")
    }

    @Test func `a region that takes its time gets more connections, however little the loop rests`() {
        var (pool, leased) = poolOfBusyLoop()
        use(leased, of: &pool, times: 1)
        pool.sampled(eventLoopRests: 2)
        guard case .wait(_, let connect) = pool.lease(now: at(0.1)) else {
            return #expect(Bool(false), "no connection is free")
        }
        #expect(connect != nil)
    }

    @Test func `a sample that is too old opens nothing`() {
        var (pool, leased) = poolOfBusyLoop()
        use(leased, of: &pool, times: 1)
        pool.sampled(eventLoopRests: 2)
        pool.startSampling()
        #expect(pool.lease(now: at(0.1)) == .wait(until: at(0.35), connect: nil))
    }

    @Test func `a loop that never rests opens the first connections all the same`() {
        var (pool, leased) = poolOfBusyLoop()
        use(leased, of: &pool, times: 100)
        pool.sampled(eventLoopRests: 0)
        #expect(pool.released(leased[0], wasUsed: true, now: at(0)) == .none)
        #expect(pool.closed(leased[0]) == nil)
        #expect(pool.closed(leased[1]) == nil)
        guard case .wait(_, let connect) = pool.lease(now: at(0.1)) else {
            return #expect(Bool(false), "no connection is free")
        }
        #expect(connect != nil)
    }

    @Test func `counts add up through any course of events`() {
        var generator = SeededGenerator(seed: 5)
        var pool = pool(maximum: 5, connecting: 2, uses: 20)
        var connecting: [Int] = []
        var leased: [Int] = []
        var waiting = 0
        func hand(_ action: PoolStateMachine.ConnectionAction, _ id: Int) {
            switch action {
            case .none: break
            case .handToFirstWaiter:
                waiting -= 1
                leased.append(id)
            case .close: if let next = pool.closed(id) { connecting.append(next) }
            }
        }
        for step in 0..<20_000 {
            let now = at(Double(step) * 0.05)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1:
                switch pool.lease(now: now) {
                case .use(let id): leased.append(id)
                case .wait(_, let connect):
                    waiting += 1
                    if let connect { connecting.append(connect) }
                case .refuse: #expect(Bool(false), "few enough wait")
                }
            case 2:
                guard let id = connecting.popLast() else { continue }
                let action = pool.connected(id, now: now)
                hand(action.connection, id)
                if let next = action.connect { connecting.append(next) }
            case 3:
                guard let id = connecting.popLast() else { continue }
                let action = pool.connectFailed(id)
                if action.failsFirstWaiter { waiting -= 1 }
                if let next = action.connect { connecting.append(next) }
            case 4:
                if let id = leased.popLast() { hand(pool.released(id, wasUsed: true, now: now), id) }
            default:
                _ = pool.closeExpired(now: now)
                guard waiting > 0 else { continue }
                pool.waitersTimedOut(1)
                waiting -= 1
            }
            #expect(waiting >= 0)
            #expect(pool.connectingCount == connecting.count)
            #expect(pool.leasedCount == leased.count)
            #expect(pool.connectingCount + pool.leasedCount + pool.idleCount <= 5)
        }
    }

    @Test func `no more messages are in flight than the limit says, though connections are idle`() {
        var pool = PoolStateMachine(.init())
        let leases = (0..<3).map { _ in pool.lease(now: at(0)) }
        var ids: [Int] = []
        for case .wait(_, let connect?) in leases { ids.append(connect) }
        for id in ids {
            let action = pool.connected(id, now: at(0))
            #expect(action.connection == .handToFirstWaiter)
        }
        #expect(pool.leasedCount == 3)

        pool.inFlightLimit = 1
        #expect(pool.lease(now: at(0)) == .wait(until: at(0.25), connect: nil))
        // The first two that come free are above the limit; the third is the first again below it.
        #expect(pool.released(ids[0], wasUsed: true, now: at(0)) == .none)
        #expect(pool.released(ids[1], wasUsed: true, now: at(0)) == .none)
        #expect(pool.released(ids[2], wasUsed: true, now: at(0)) == .handToFirstWaiter)
        #expect(pool.leasedCount == 1 && pool.idleCount == 2)

        #expect(pool.lease(now: at(0)) == .wait(until: at(0.25), connect: nil))
        var served = pool.leaseForWaiter()
        #expect(served == nil)
        pool.inFlightLimit = 2
        served = pool.leaseForWaiter()
        #expect(served == ids[1])
        served = pool.leaseForWaiter()
        #expect(served == nil)
    }
}
