import NIOCore
import Testing

@testable import GatewayCore

struct UserRegionsTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func user(_ text: String) throws -> UserID {
        let head = ByteBuffer(string: text)
        return try UserID(parsing: 0..<head.readableBytes, of: head)
    }

    @Test func `what is learned is known, and counted once`() throws {
        let users = UserRegions()
        #expect(users.region(of: try user("a")) == nil)
        for _ in 0..<3 { users.learn(.europe, of: try user("a"), from: .message) }
        users.learn(.farEast, of: try user("b"), from: .put)
        #expect(users.region(of: try user("a")) == .europe)
        #expect(users.region(of: try user("b")) == .farEast)
        #expect(users.statistics(now: start).learned == [.message: 1, .put: 1])
        // Another spelling of the same userId.
        #expect(users.region(of: try user("%61")) == .europe)
    }

    @Test func `so many are kept at most, and who is asked for stays`() throws {
        var configuration = UserRegions.Configuration()
        configuration.maximumUsers = 1280  // ten a generation and shard
        let users = UserRegions(configuration)
        users.learn(.europe, of: try user("kept"), from: .message)
        for number in 0..<20_000 {
            users.learn(.northAmerica, of: try user("u\(number)"), from: .message)
            if number % 100 == 0 { #expect(users.region(of: try user("kept")) == .europe) }
        }
        let known = try (0..<20_000).count { users.region(of: try user("u\($0)")) != nil }
        #expect((300...1280).contains(known))
    }

    @Test func `the gone are gone for an hour, or until they are known again`() throws {
        let users = UserRegions()
        users.leave(try user("a%7Cb"), of: "weather", now: start)
        users.leave(try user("c"), of: "news", now: start)
        #expect(users.isGone(try user("a%7Cb"), now: start + .minutes(59)))
        #expect(!users.isGone(try user("d"), now: start))
        #expect(users.goneUsers(now: start).map(\.userID) == ["c", "a|b"])
        #expect(!users.isGone(try user("a%7Cb"), now: start + .hours(1)))
        users.learn(.europe, of: try user("c"), from: .put)
        #expect(!users.isGone(try user("c"), now: start))
        #expect(users.statistics(now: start).gone == 1)
        #expect(users.goneUsers(now: start + .hours(2)).isEmpty)
    }

    @Test func `the list of the gone is bounded`() throws {
        var configuration = UserRegions.Configuration()
        configuration.maximumGoneUsers = 10
        let users = UserRegions(configuration)
        for number in 0..<50 { users.leave(try user("u\(number)"), of: "weather", now: start) }
        #expect(users.statistics(now: start).gone == 10)
        // Those whose time is over make room.
        users.leave(try user("new"), of: "weather", now: start + .hours(2))
        #expect(users.isGone(try user("new"), now: start + .hours(2)))
    }
}
