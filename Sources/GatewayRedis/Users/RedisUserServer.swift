package import GatewayCore
import NIOCore

/// What replicas know of users, in Redis.
///
/// What Amazon has accepted, and that nobody knows a user, stands under a key of the user: Amazon itself bounds how much that is. What
/// callers say stands in one of 65,536 places of the skill, so that no number of words fills the store.
package final class RedisUserServer: UserServer {
    /// Who is not written to for so long is looked for once more.
    private static let lifetime = Duration.seconds(30 * 86_400)

    private let client: NIOLoopBound<RedisClient>
    private let prefix: String
    private let unixMilliseconds: @Sendable () -> Int

    /// To be called on the client's event loop.
    ///
    /// - Parameter unixMilliseconds: the time of day.
    package init(_ client: RedisClient, unixMilliseconds: @escaping @Sendable () -> Int) {
        self.client = NIOLoopBound(client, eventLoop: client.eventLoop)
        prefix = client.keys.prefix
        self.unixMilliseconds = unixMilliseconds
    }

    private func key(_ user: SharedUserID) -> String { "\(prefix):user:\(user.user)" }

    private func place(_ user: SharedUserID) -> String { "\(prefix):said:\(user.skill):\(user.place)" }

    package func find(_ user: SharedUserID, _ then: @escaping @Sendable (UserFact?) -> Void) {
        let (client, key, place, now) = (client, key(user), place(user), unixMilliseconds())
        client.eventLoop.execute {
            let server = client.value
            server.startIfNeeded()
            server.run(.plain(["GET", key], key: key)) { known in
                guard let known = try? known.get() else { return then(nil) }
                if let fact = UserFact(known.text, unixMilliseconds: now) { return then(fact) }
                server.run(.plain(["GET", place], key: place)) { said in
                    guard let said = try? said.get() else { return then(nil) }
                    then(UserFact(said.text, saidOf: user) ?? .unknown)
                }
            }
        }
    }

    package func tell(_ fact: UserFact, of user: SharedUserID) {
        let milliseconds = String(Self.lifetime.inMilliseconds)
        switch fact {
        case .accepted(let region): run(["SET", key(user), "a" + region.name, "PX", milliseconds])
        case .gone(let duration):
            let left = max(1, duration.inMilliseconds)
            run(["SET", key(user), "g\(unixMilliseconds() &+ left)", "PX", String(left)])
        case .said(let region): run(["SET", place(user), user.user + region.name, "PX", milliseconds])
        case .notIn(let region):
            // Only where just that is told.
            remove(key(user), where: "a" + region.name)
            remove(place(user), where: user.user + region.name)
        case .unknown: break
        }
    }

    private func run(_ words: [String]) {
        let client = client
        client.eventLoop.execute {
            client.value.startIfNeeded()
            client.value.run(.plain(words, key: words[1])) { _ in }
        }
    }

    private static let remove = RedisScript(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")

    private func remove(_ key: String, where value: String) {
        let client = client
        client.eventLoop.execute {
            client.value.startIfNeeded()
            client.value.run(.script(Self.remove, key: key, arguments: [value])) { _ in }
        }
    }
}

extension UserFact {
    /// Nil: there is nothing, or nothing that a gateway has written.
    fileprivate init?(_ value: String?, unixMilliseconds: Int) {
        guard let value else { return nil }
        let rest = value.dropFirst()
        switch value.first {
        case "a":
            guard let region = Region.allCases.first(where: { $0.name == rest }) else { return nil }
            self = .accepted(region)
        case "g":
            guard let end = Int(rest), end > unixMilliseconds else { return nil }
            self = .gone(for: .milliseconds(Int64(min(end &- unixMilliseconds, 86_400_000))))
        default: return nil
        }
    }

    fileprivate init?(_ value: String?, saidOf user: SharedUserID) {
        guard let value, value.hasPrefix(user.user),
            let region = Region.allCases.first(where: { $0.name == value.dropFirst(user.user.count) })
        else { return nil }
        self = .said(region)
    }
}
