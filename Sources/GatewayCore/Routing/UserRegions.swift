package import Crypto
package import NIOCore
import Synchronization

/// Where users live, and who lives nowhere any more: of each skill by itself (`SkillUsers`), with an equal share of the room.
///
/// A user who moves gets a new userId, so nothing learned here grows stale. Losing it costs one more try of a message.
package final class UserRegions: Sendable {
    /// How a region became known; a label of the metrics.
    package enum Source: String, CaseIterable, Sendable {
        /// Amazon accepted a message there.
        case message
        /// Amazon refused a message elsewhere, and accepted it there.
        case probe
        /// Somebody said so: `PUT /v1/users/{userId}/region`.
        case put
        /// Another replica knew it.
        case replica
    }

    /// Somebody whom no region knows.
    package struct GoneUser: Sendable {
        package var userID: String
        package var skill: String
    }

    package struct Statistics: Sendable {
        var learned: [Source: Int] = [:]
        package var gone = 0
    }

    package struct Configuration: Sendable {
        /// Of all skills together.
        var maximumUsers = 400_000
        var maximumGoneUsers = 10_000
        /// How long a user counts as gone: Amazon may have been mistaken.
        var goneFor = TimeAmount.hours(1)

        package init() {}
    }

    private let configuration: Configuration
    private let hash: SipHash
    /// What an earlier process knew of skills that nobody has asked for yet, by name.
    private let earlier: Mutex<[String: UserRegionsSnapshot.OneSkill]>
    private let started: NIODeadline
    /// Nil: each replica learns for itself.
    private let shared: (client: any SharedUserClient, key: SymmetricKey)?
    /// By name. A skill that is gone keeps its users, for as long as it may come back.
    private let skills = Mutex<[String: SkillUsers]>([:])

    /// - Parameters:
    ///   - earlier: what an earlier process knew.
    ///   - shared: asks for what replicas tell each other, by users' hashes under the key; nil: each learns for itself.
    package init(
        _ configuration: Configuration = Configuration(), earlier: UserRegionsSnapshot? = nil,
        shared: (any SharedUserClient, SymmetricKey)? = nil, now: NIODeadline = .now()
    ) {
        self.configuration = configuration
        self.shared = shared
        hash = earlier?.hash ?? SipHash()
        started = now
        self.earlier = Mutex(
            Dictionary((earlier?.skills ?? []).map { ($0.name, $0) }, uniquingKeysWith: { one, _ in one }))
    }

    /// Those of one skill; the same ones whenever it is asked for.
    package func users(of skill: String) -> SkillUsers {
        skills.withLock { skills in
            if let known = skills[skill] { return known }
            let share = share(among: skills.count + 1)
            for users in skills.values { users.use(share) }
            let users = SkillUsers(
                share, goneFor: configuration.goneFor, hash: hash,
                shared: shared.map { SharedUsers($0.client, skill: skill, key: $0.key) })
            if let known = earlier.withLock({ $0.removeValue(forKey: skill) }) { users.restore(known, now: started) }
            skills[skill] = users
            return users
        }
    }

    private func share(among skills: Int) -> SkillUsers.Share {
        SkillUsers.Share(
            users: configuration.maximumUsers / skills, goneUsers: max(1, configuration.maximumGoneUsers / skills))
    }

    /// Those who count as gone.
    package func goneUsers(now: NIODeadline) -> [GoneUser] {
        skills.withLock { $0 }.flatMap { skill, users in
            users.goneUsers(now: now).map { GoneUser(userID: $0, skill: skill) }
        }.sorted { ($0.skill, $0.userID) < ($1.skill, $1.userID) }
    }

    /// Whether somebody is kept as gone whose time is over, and whose userId has to go.
    package func hasReturned(now: NIODeadline) -> Bool {
        skills.withLock { $0.values.contains { $0.hasReturned(now: now) } }
    }

    /// Rises with what is kept for the next process.
    package var changes: Int { skills.withLock { $0.values.reduce(0) { $0 + $1.changes } } }

    /// What the next process would want to know.
    package func snapshot(now: NIODeadline) -> UserRegionsSnapshot {
        let skills = skills.withLock { $0 }.sorted { $0.key < $1.key }
        return UserRegionsSnapshot(
            hash: hash, skills: skills.map { $0.value.snapshot(name: $0.key, now: now) })
    }

    package func statistics(now: NIODeadline) -> Statistics {
        var sum = Statistics()
        for users in skills.withLock({ $0.values }) {
            sum.learned.merge(users.learned, uniquingKeysWith: +)
            sum.gone += users.goneUsers(now: now).count
        }
        return sum
    }
}
