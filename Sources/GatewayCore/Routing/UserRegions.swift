public import NIOCore
import Synchronization

/// Where users live, as far as this process has learned it, and who lives nowhere any more. For all event loops.
///
/// A user who moves gets a new userId, so nothing learned here grows stale. Losing it costs one more try of a message. Users are
/// kept as hashes under a seed of this process; 64 bits are enough to tell as many apart as are kept.
public final class UserRegions: Sendable {
    /// How a region became known; a label of the metrics.
    public enum Source: String, CaseIterable, Sendable {
        /// Amazon accepted a message there.
        case message
        /// Amazon refused a message elsewhere, and accepted it there.
        case probe
        /// Somebody said so: `PUT /v1/users/{userId}/region`.
        case put
    }

    /// Somebody whom no region knows.
    public struct GoneUser: Sendable {
        public var userID: String
        public var skill: String
    }

    public struct Statistics: Sendable {
        public var learned: [Source: Int] = [:]
        public var gone = 0
    }

    public struct Configuration: Sendable {
        public var maximumUsers = 200_000
        public var maximumGoneUsers = 10_000
        /// How long a user counts as gone: Amazon may have been mistaken.
        public var goneFor = TimeAmount.hours(1)

        public init() {}
    }

    /// Users in two generations: once the young one is full it takes the place of the old one, which is forgotten. Who is
    /// asked for stays young.
    private struct Shard {
        var young: [UInt64: Region] = [:]
        var old: [UInt64: Region] = [:]
        var learned: [Source: Int] = [:]

        mutating func put(_ user: UInt64, _ region: Region, limit: Int) {
            if young.count >= limit { (old, young) = (young, [:]) }
            young[user] = region
        }
    }

    private final class ShardBox: Sendable {
        let shard = Mutex(Shard())
    }

    private struct Gone {
        var until: NIODeadline
        var user: GoneUser
    }

    private static let shardCount = 64

    private let configuration: Configuration
    private let usersPerGeneration: Int
    private let shards = (0..<UserRegions.shardCount).map { _ in ShardBox() }
    private let gone = Mutex<[UInt64: Gone]>([:])
    /// Nearly always zero, so that nobody has to ask.
    private let goneCount = Atomic<Int>(0)

    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        usersPerGeneration = max(1, configuration.maximumUsers / (2 * Self.shardCount))
    }

    func region(of user: UserID) -> Region? {
        let hash = Self.hash(user)
        return shards[Self.place(hash)].shard.withLock { shard in
            if let region = shard.young[hash] { return region }
            guard let region = shard.old[hash] else { return nil }
            shard.put(hash, region, limit: usersPerGeneration)
            return region
        }
    }

    func learn(_ region: Region, of user: UserID, from source: Source) {
        let hash = Self.hash(user)
        let isNew = shards[Self.place(hash)].shard.withLock { shard in
            guard shard.young[hash] != region else { return false }
            let isNew = shard.old[hash] != region
            shard.put(hash, region, limit: usersPerGeneration)
            if isNew { shard.learned[source, default: 0] += 1 }
            return isNew
        }
        if isNew && goneCount.load(ordering: .relaxed) > 0 { returned(hash) }
    }

    /// Whether no region knew this user a while ago.
    func isGone(_ user: UserID, now: NIODeadline) -> Bool {
        guard goneCount.load(ordering: .relaxed) > 0 else { return false }
        let hash = Self.hash(user)
        return gone.withLock { gone in (gone[hash]?.until ?? .distantPast) > now }
    }

    func leave(_ user: UserID, of skill: String, now: NIODeadline) {
        let hash = Self.hash(user)
        let id = PercentEncoding.decode(user.canonical.readableBytesUInt8Span, 0..<user.canonical.readableBytes)
        let goneUser = GoneUser(userID: String(decoding: id ?? [], as: UTF8.self), skill: skill)
        gone.withLock { gone in
            if gone.count >= configuration.maximumGoneUsers { gone = gone.filter { $0.value.until > now } }
            guard gone.count < configuration.maximumGoneUsers else { return }
            gone[hash] = Gone(until: now + configuration.goneFor, user: goneUser)
            goneCount.store(gone.count, ordering: .relaxed)
        }
    }

    /// Those who count as gone.
    public func goneUsers(now: NIODeadline) -> [GoneUser] {
        gone.withLock { gone in gone.values.filter { $0.until > now }.map(\.user) }
            .sorted { ($0.skill, $0.userID) < ($1.skill, $1.userID) }
    }

    public func statistics(now: NIODeadline) -> Statistics {
        var sum = Statistics()
        for box in shards {
            sum.learned.merge(box.shard.withLock { $0.learned }, uniquingKeysWith: +)
        }
        sum.gone = gone.withLock { gone in gone.values.count { $0.until > now } }
        return sum
    }

    private func returned(_ hash: UInt64) {
        gone.withLock { gone in
            gone[hash] = nil
            goneCount.store(gone.count, ordering: .relaxed)
        }
    }

    private static func place(_ hash: UInt64) -> Int { Int(hash % UInt64(shardCount)) }

    private static func hash(_ user: UserID) -> UInt64 {
        var hasher = Hasher()
        user.canonical.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
