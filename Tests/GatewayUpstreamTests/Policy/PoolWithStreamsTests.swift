import GatewayCore
import NIOCore
import TestSupport
import Testing

@testable import GatewayUpstream

/// Connections that carry several messages at once.
@Suite struct PoolWithStreamsTests {
    private func at(_ seconds: Double) -> NIODeadline {
        .uptimeNanoseconds(1_000_000_000) + .milliseconds(Int(seconds * 1000))
    }

    private func pool(maximum: Int = 100) -> PoolStateMachine {
        var configuration = PoolStateMachine.Configuration()
        configuration.maximumConnections = maximum
        configuration.mayHaveStreams = true
        return PoolStateMachine(configuration)
    }

    /// Leases until a connection is wanted, opens it, and serves who waits.
    private func open(_ pool: inout PoolStateMachine, streams: Int, at time: Double = 0) -> Int {
        guard case .wait(_, let id?) = pool.lease(now: at(time)) else { return -1 }
        #expect(pool.connected(id, streams: streams, now: at(time)).connection == .handToFirstWaiter)
        return id
    }

    @Test func `a burst on a cold pool opens two connections, until it is known what one can carry`() {
        var pool = pool()
        pool.sampled(eventLoopRests: 1)
        let opened = (0..<50).compactMap { _ -> Int? in
            if case .wait(_, let connect) = pool.lease(now: at(0)) { connect } else { nil }
        }
        #expect(opened.count == 2)
        let first = pool.connected(opened[0], streams: 20, now: at(0.1))
        #expect(first.connection == .handToFirstWaiter)
        #expect(first.connect != nil, "20 have room, and 20 will have, of 50")
        var served = 1
        while pool.leaseForWaiter() == opened[0] { served += 1 }
        #expect(served == 20 && pool.leasedCount == 20)
    }

    @Test func `where a connection carries one message, a burst opens as many as ever`() {
        var pool = pool()
        pool.sampled(eventLoopRests: 1)
        let opened = (0..<50).compactMap { _ -> Int? in
            if case .wait(_, let connect) = pool.lease(now: at(0)) { connect } else { nil }
        }
        _ = pool.connected(opened[0], now: at(0.1))
        while pool.connectForWaiters() != nil {}
        #expect(pool.connectingCount == 32)
    }

    @Test func `a connection has its share first, then another, and then all there is room for`() {
        var pool = pool()
        let one = open(&pool, streams: 4)
        #expect((0..<3).map { _ in pool.lease(now: at(0)) } == [.use(one), .use(one), .use(one)])
        let other = open(&pool, streams: 4)
        #expect(pool.released(one, wasUsed: true, now: at(0)) == .none)
        #expect(pool.released(one, wasUsed: true, now: at(0)) == .none)
        #expect(pool.released(one, wasUsed: true, now: at(0)) == .none)
        // One message each; the newest that is below its share is taken first.
        let leases = (0..<6).map { _ in pool.lease(now: at(0)) }
        #expect(leases.filter { $0 == .use(one) }.count == 3 && leases.filter { $0 == .use(other) }.count == 3)
        #expect(leases[0] == .use(one) && leases[1] == .use(other), "to their shares")
        guard case .wait(_, _?) = pool.lease(now: at(0)) else { return #expect(Bool(false), "both are full") }
    }

    @Test func `where everything depends on one connection with its share to carry, another is opened`() {
        var pool = pool()
        let one = open(&pool, streams: 4)
        #expect(pool.connectForSafety() == nil)
        _ = pool.lease(now: at(0))
        let other = pool.connectForSafety()
        #expect(other != nil && pool.connectForSafety() == nil)
        _ = other.map { pool.connected($0, streams: 4, now: at(0)) }
        #expect(pool.lease(now: at(0)) == other.map { .use($0) } && pool.connectForSafety() == nil)
        #expect(pool.closed(one) == nil && pool.leasedCount == 1)
    }

    @Test func `one that drains takes no more, and is closed with its last message`() {
        var pool = pool()
        let one = open(&pool, streams: 4)
        #expect(pool.lease(now: at(0)) == .use(one))
        #expect(pool.drains(one, now: at(1)) == .none)
        guard case .wait(_, let next?) = pool.lease(now: at(1)), next != one else {
            return #expect(Bool(false), "another is opened")
        }
        #expect(pool.released(one, wasUsed: true, now: at(2)) == .none)
        #expect(pool.released(one, wasUsed: true, now: at(2)) == .close)
        #expect(pool.closed(one) == nil && pool.leasedCount == 0)
        #expect(pool.connected(next, streams: 4, now: at(3)).connection == .handToFirstWaiter)
        #expect(pool.released(next, wasUsed: true, now: at(3)) == .none)
        #expect(pool.drains(next, now: at(4)) == .close)
    }

    @Test func `one that takes no message is closed after a second, and none is opened beyond the maximum`() {
        var pool = pool(maximum: 5)
        pool.sampled(eventLoopRests: 1)
        var useless: [Int] = []
        for _ in 0..<20 {
            guard case .wait(_, let connect?) = pool.lease(now: at(0)) else { continue }
            _ = pool.connected(connect, streams: 4, now: at(0))
            #expect(pool.released(connect, wasUsed: true, now: at(0)) == .none)
            pool.changed(connect, streams: 0)
            useless.append(connect)
        }
        #expect(useless.count == 5 && pool.connectForWaiters() == nil)
        #expect(pool.closeExpired(now: at(0.9)) == [])
        #expect(Set(pool.closeExpired(now: at(1))) == Set(useless) && pool.isEmpty)
        #expect(pool.connectForWaiters() != nil)
    }

    @Test func `those there is room for open no connection`() {
        var pool = pool()
        pool.sampled(eventLoopRests: 1)
        let opened = (0..<10).compactMap { _ -> Int? in
            if case .wait(_, let connect) = pool.lease(now: at(0)) { connect } else { nil }
        }
        let action = pool.connected(opened[0], streams: 20, now: at(0))
        #expect(action == .init(connection: .handToFirstWaiter, connect: nil))
    }

    @Test func `it is worn by its age alone, and goes once its messages are done`() {
        var pool = pool()
        let one = open(&pool, streams: 4)
        for _ in 0..<20_000 {
            #expect(pool.lease(now: at(1)) == .use(one))
            #expect(pool.released(one, wasUsed: true, now: at(1)) == .none)
        }
        #expect(pool.lease(now: at(2)) == .use(one))
        #expect(pool.released(one, wasUsed: true, now: at(601)) == .none, "one message is left")
        #expect(pool.released(one, wasUsed: true, now: at(602)) == .close)
    }

    @Test func `counts add up through any course of events`() {
        var generator = SeededGenerator(seed: 7)
        var pool = pool(maximum: 20)
        var connecting: [Int] = []
        var room: [Int: Int] = [:]
        var leases: [Int: Int] = [:]
        var draining: Set<Int> = []
        var waiting = 0
        func leased(_ id: Int) {
            leases[id, default: 0] += 1
            #expect(!draining.contains(id) && leases[id, default: 0] <= room[id, default: 0])
        }
        func follow(_ action: PoolStateMachine.ConnectionAction, _ id: Int) {
            switch action {
            case .none: break
            case .handToFirstWaiter:
                waiting -= 1
                leased(id)
            case .close:
                #expect(leases[id, default: 0] == 0)
                gone(id)
            }
        }
        func gone(_ id: Int) {
            if let next = pool.closed(id) { connecting.append(next) }
            (leases[id], room[id]) = (nil, nil)
            draining.remove(id)
        }
        func serve() {
            while let id = pool.leaseForWaiter() {
                waiting -= 1
                leased(id)
            }
        }
        for step in 0..<40_000 {
            let now = at(Double(step) * 0.05)
            let any = room.keys.sorted().randomElement(using: &generator)
            switch Int.random(in: 0..<12, using: &generator) {
            case 0, 1, 2:
                switch pool.lease(now: now) {
                case .use(let id): leased(id)
                case .wait(_, let connect):
                    waiting += 1
                    if let connect { connecting.append(connect) }
                case .refuse: #expect(Bool(false), "few enough wait")
                }
            case 3:
                guard let id = connecting.popLast() else { continue }
                let streams = Int.random(in: 0...6, using: &generator)
                room[id] = max(1, streams)
                let action = pool.connected(id, streams: streams == 0 ? nil : streams, now: now)
                follow(action.connection, id)
                if let next = action.connect { connecting.append(next) }
                serve()
            case 4:
                guard let id = any, !draining.contains(id) else { continue }
                let streams = Int.random(in: 0...6, using: &generator)
                room[id] = streams
                pool.changed(id, streams: streams)
                serve()
            case 5:
                guard let id = any, Bool.random(using: &generator) else { continue }
                draining.insert(id)
                follow(pool.drains(id, now: now), id)
            case 6, 7, 8, 9:
                guard let id = any, leases[id, default: 0] > 0 else { continue }
                leases[id, default: 0] -= 1
                // Its age may be over.
                let action = pool.released(id, wasUsed: true, now: now)
                if case .close = action { draining.insert(id) }
                follow(action, id)
            case 10:
                if let id = any, Int.random(in: 0..<20, using: &generator) == 0 { gone(id) }
                if let next = pool.connectForSafety() { connecting.append(next) }
            default:
                for id in pool.closeExpired(now: now) {
                    #expect(leases[id, default: 0] == 0)
                    (leases[id], room[id]) = (nil, nil)
                }
                guard waiting > 0 else { continue }
                pool.waitersTimedOut(1)
                waiting -= 1
            }
            #expect(waiting >= 0 && pool.connectingCount == connecting.count)
            #expect(pool.leasedCount == leases.values.reduce(0, +) && pool.leasedCount <= 20)
            #expect(pool.idleCount == room.keys.filter { leases[$0, default: 0] == 0 }.count)
            #expect(pool.busyCount == leases.values.filter { $0 > 0 }.count)
        }
    }
}
