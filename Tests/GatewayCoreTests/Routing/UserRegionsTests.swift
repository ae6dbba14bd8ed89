import NIOCore
import Testing

@testable import GatewayCore

struct UserRegionsTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let regions = UserRegions()
    private var weather: SkillUsers { regions.users(of: "weather") }
    private var news: SkillUsers { regions.users(of: "news") }

    private func user(_ text: String) throws -> UserID {
        let head = ByteBuffer(string: text)
        return try UserID(parsing: 0..<head.readableBytes, of: head)
    }

    @Test func `what is learned is known, and counted once`() throws {
        #expect(weather.region(of: try user("a")) == nil)
        for _ in 0..<3 { weather.learn(.europe, of: try user("a"), from: .message) }
        weather.learn(.farEast, of: try user("b"), from: .put)
        #expect(weather.region(of: try user("a")) == .europe)
        #expect(weather.region(of: try user("b")) == .farEast)
        #expect(regions.statistics(now: start).learned == [.message: 1, .put: 1])
        // Another spelling of the same userId.
        #expect(weather.region(of: try user("%61")) == .europe)
    }

    @Test func `a userId means nothing outside its skill`() throws {
        weather.learn(.europe, of: try user("a"), from: .message)
        weather.leave(try user("b"), now: start)
        #expect(news.region(of: try user("a")) == nil)
        #expect(!news.isGone(try user("b"), now: start))
        news.learn(.farEast, of: try user("a"), from: .message)
        #expect(weather.region(of: try user("a")) == .europe)
    }

    @Test func `what Amazon accepted outranks what anybody says, until it is in doubt`() throws {
        #expect(weather.learn(.farEast, of: try user("a"), from: .put) == .farEast)
        #expect(weather.learn(.europe, of: try user("a"), from: .message) == .europe)
        #expect(weather.learn(.farEast, of: try user("a"), from: .put) == .europe)
        #expect(weather.region(of: try user("a")) == .europe)
        weather.doubt(.northAmerica, of: try user("a"))
        #expect(weather.region(of: try user("a")) == .europe)
        weather.doubt(.europe, of: try user("a"))
        #expect(weather.region(of: try user("a")) == nil)
        #expect(weather.learn(.farEast, of: try user("a"), from: .put) == .farEast)
    }

    @Test func `so many are kept at most, and who is asked for stays`() throws {
        var configuration = UserRegions.Configuration()
        configuration.maximumUsers = 640  // ten a generation, kind and shard
        let users = UserRegions(configuration).users(of: "weather")
        users.learn(.europe, of: try user("kept"), from: .message)
        for number in 0..<20_000 {
            users.learn(.northAmerica, of: try user("u\(number)"), from: .message)
            if number % 20 == 0 { #expect(users.region(of: try user("kept")) == .europe) }
        }
        let known = try (0..<20_000).count { users.region(of: try user("u\($0)")) != nil }
        #expect((150...320).contains(known))
    }

    @Test func `no number of words displaces what another skill knows, or what Amazon accepted`() throws {
        for number in 0..<1000 {
            weather.learn(.europe, of: try user("u\(number)"), from: .message)
            news.learn(.europe, of: try user("u\(number)"), from: .put)
        }
        for number in 0..<230_000 { weather.learn(.farEast, of: try user("v\(number)"), from: .put) }
        for number in 0..<1000 {
            #expect(weather.region(of: try user("u\(number)")) == .europe)
            #expect(news.region(of: try user("u\(number)")) == .europe)
        }
    }

    @Test func `the gone are gone for an hour, or until they are known again`() throws {
        weather.leave(try user("a%7Cb"), now: start)
        news.leave(try user("c"), now: start)
        #expect(weather.isGone(try user("a%7Cb"), now: start + .minutes(59)))
        #expect(!weather.isGone(try user("d"), now: start))
        #expect(regions.goneUsers(now: start).map(\.userID) == ["c", "a|b"])
        #expect(!weather.isGone(try user("a%7Cb"), now: start + .hours(1)))
        news.learn(.europe, of: try user("c"), from: .put)
        #expect(!news.isGone(try user("c"), now: start))
        #expect(regions.statistics(now: start).gone == 1)
        #expect(regions.goneUsers(now: start + .hours(2)).isEmpty)
    }

    @Test func `the list of the gone is bounded, for each skill by itself`() throws {
        var configuration = UserRegions.Configuration()
        configuration.maximumGoneUsers = 10
        let regions = UserRegions(configuration)
        let (one, other) = (regions.users(of: "one"), regions.users(of: "other"))
        for number in 0..<50 { one.leave(try user("u\(number)"), now: start) }
        #expect(regions.statistics(now: start).gone == 5)
        other.leave(try user("u"), now: start)
        #expect(other.isGone(try user("u"), now: start))
        // Those whose time is over make room.
        one.leave(try user("new"), now: start + .hours(2))
        #expect(one.isGone(try user("new"), now: start + .hours(2)))
    }

    @Test func `the next process knows what this one learned, and nothing of skills that are gone`() throws {
        weather.learn(.europe, of: try user("a"), from: .message)
        weather.learn(.farEast, of: try user("b"), from: .put)
        weather.leave(try user("c%7Cd"), now: start)
        news.learn(.northAmerica, of: try user("a"), from: .put)
        let next = UserRegions(earlier: regions.snapshot(now: start), now: start)
        let again = next.users(of: "weather")
        #expect(again.region(of: try user("a")) == .europe)
        #expect(again.region(of: try user("b")) == .farEast)
        // It still outranks what anybody says, and nothing was learned by this process.
        #expect(again.learn(.farEast, of: try user("a"), from: .put) == .europe)
        #expect(next.statistics(now: start).learned.isEmpty)
        #expect(again.isGone(try user("c%7Cd"), now: start + .minutes(59)))
        #expect(!again.isGone(try user("c%7Cd"), now: start + .hours(1)))
        #expect(next.goneUsers(now: start).map(\.userID) == ["c|d"])
        #expect(next.snapshot(now: start).skills.map(\.name) == ["weather"])
    }

    @Test func `whose time is over is not kept for the next process`() throws {
        weather.leave(try user("a"), now: start)
        #expect(!regions.hasReturned(now: start + .minutes(59)))
        #expect(regions.hasReturned(now: start + .hours(1)))
        #expect(regions.snapshot(now: start + .hours(1)).skills.flatMap(\.gone).isEmpty)
        #expect(!regions.hasReturned(now: start + .hours(1)))
        let late = UserRegions(earlier: regions.snapshot(now: start), now: start + .hours(2))
        #expect(late.users(of: "weather").snapshot(name: "weather", now: start).gone.isEmpty)
    }

    @Test func `changes are counted that the next process should know of`() throws {
        func changes(_ body: () throws -> Void) rethrows -> Int {
            let before = regions.changes
            try body()
            return regions.changes - before
        }
        #expect(try changes { weather.learn(.europe, of: try user("a"), from: .message) } == 1)
        #expect(try changes { weather.learn(.europe, of: try user("a"), from: .message) } == 0)
        #expect(try changes { weather.learn(.farEast, of: try user("a"), from: .put) } == 0)
        #expect(try changes { weather.doubt(.europe, of: try user("a")) } == 1)
        #expect(try changes { weather.leave(try user("a"), now: start) } == 1)
        // What somebody said is certain from here on: the next process must not let another word outrank it.
        #expect(try changes { weather.learn(.farEast, of: try user("b"), from: .put) } == 1)
        #expect(try changes { weather.learn(.farEast, of: try user("b"), from: .message) } == 1)
        let next = UserRegions(earlier: regions.snapshot(now: start), now: start).users(of: "weather")
        #expect(next.learn(.europe, of: try user("b"), from: .put) == .farEast)
    }
}
