package import GatewayCore
import NIOCore

/// Asks Redis, in which replicas keep what they know of users.
///
/// What Amazon has accepted, and that nobody knows a user, stands under a key of the user: Amazon itself bounds how much that is. What
/// callers say stands in one of 65,536 places of the skill, so that no number of statements fills the store.
package final class RedisSharedUserClient: SharedUserClient {
    /// After it was last told; then the user is looked for once more.
    private static let lifetime = Duration.seconds(30 * 86_400)

    private let client: NIOLoopBound<RedisClient>
    private let keys: RecordKeys
    private let unixMilliseconds: @Sendable () -> Int

    /// To be called on the client's event loop.
    ///
    /// - Parameter unixMilliseconds: the time of day.
    package init(_ client: RedisClient, unixMilliseconds: @escaping @Sendable () -> Int) {
        self.client = NIOLoopBound(client, eventLoop: client.eventLoop)
        keys = client.keys
        self.unixMilliseconds = unixMilliseconds
    }

    package func find(_ user: SharedUserID, _ then: @escaping @Sendable (UserFinding?) -> Void) {
        let (client, key, place, now) = (client, keys.user(user), keys.statements(user), unixMilliseconds())
        client.run(.plain(["GET", key], key: key)) { known in
            guard let known = try? known.get() else { return then(nil) }
            if let finding = UserFinding(known.text, unixMilliseconds: now) { return then(finding) }
            client.value.run(.plain(["GET", place], key: place)) { said in
                guard let said = try? said.get() else { return then(nil) }
                then(UserFinding(said.text, saidOf: user) ?? .nothing)
            }
        }
    }

    package func tell(_ news: UserNews, of user: SharedUserID) {
        let milliseconds = String(Self.lifetime.inMilliseconds)
        let (key, place) = (keys.user(user), keys.statements(user))
        switch news {
        case .accepted(let region): run(.plain(["SET", key, "a" + region.name, "PX", milliseconds], key: key))
        case .said(let region):
            run(.plain(["SET", place, user.user + region.name, "PX", milliseconds], key: place))
            run(.script(Self.removeGone, key: key, arguments: []))
        case .gone(let duration):
            let left = max(1, duration.inMilliseconds)
            let value = "g\(unixMilliseconds() &+ left)"
            run(.script(Self.setGone, key: key, arguments: [value, String(left)]))
        case .notIn(let region):
            run(.script(Self.removeEqual, key: key, arguments: ["a" + region.name]))
            run(.script(Self.removeEqual, key: place, arguments: [user.user + region.name]))
        }
    }

    private func run(_ command: RedisCommand) { client.run(command) { _ in } }

    // What another replica has learned since stays.
    private static let removeEqual = RedisScript(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")
    private static let removeGone = RedisScript(
        """
        if string.sub(redis.call('GET', KEYS[1]) or '', 1, 1) == 'g' then return redis.call('DEL', KEYS[1]) end
        return 0
        """)
    private static let setGone = RedisScript(
        """
        if string.sub(redis.call('GET', KEYS[1]) or 'g', 1, 1) ~= 'g' then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1
        """)
}

extension UserFinding {
    /// Nil: there is nothing, or nothing that a gateway has written.
    init?(_ value: String?, unixMilliseconds: Int) {
        guard let value else { return nil }
        let rest = value.dropFirst()
        switch value.utf8.first {
        case UInt8(ascii: "a"):
            guard let region = Region(exactName: rest) else { return nil }
            self = .accepted(region)
        case UInt8(ascii: "g"):
            guard let end = Int(rest), end > unixMilliseconds else { return nil }
            self = .gone(for: .milliseconds(Int64(min(end &- unixMilliseconds, 86_400_000))))
        default: return nil
        }
    }

    init?(_ value: String?, saidOf user: SharedUserID) {
        guard let value, value.hasPrefix(user.user),
            let region = Region(exactName: value.dropFirst(user.user.count))
        else { return nil }
        self = .said(region)
    }
}
