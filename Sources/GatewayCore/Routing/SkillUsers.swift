import NIOCore
import Synchronization

/// Where the users of one skill live, as far as this process has learned it, and who of them lives nowhere any more. For all
/// event loops.
///
/// A userId means nothing outside its skill: what one skill says or is refused must not reach another's users. Users are kept
/// as hashes under a secret key; 64 bits are enough to tell as many apart as are kept.
package final class SkillUsers: Sendable {
    /// How much one skill may keep.
    struct Share: Equatable {
        var users: Int
        var goneUsers: Int
    }

    /// Users in two generations: once the young one is full it takes the place of the old one, which is forgotten. Who is
    /// asked for stays young.
    private struct Generations {
        var young: [UInt64: Region] = [:]
        var old: [UInt64: Region] = [:]

        var isEmpty: Bool { young.isEmpty && old.isEmpty }

        subscript(user: UInt64) -> Region? { young[user] ?? (old.isEmpty ? nil : old[user]) }

        mutating func put(_ user: UInt64, _ region: Region, limit: Int) {
            if young.count >= limit { (old, young) = (young, [:]) }
            young[user] = region
        }

        mutating func renew(_ user: UInt64, limit: Int) -> Region? {
            if let region = young[user] { return region }
            guard let region = old[user] else { return nil }
            put(user, region, limit: limit)
            return region
        }

        mutating func remove(_ user: UInt64) {
            // Nearly always nobody has said anything.
            guard !isEmpty else { return }
            young[user] = nil
            old[user] = nil
        }

        func known(isAccepted: Bool) -> [UserRegionsSnapshot.Known] {
            [old, young].joined().map {
                UserRegionsSnapshot.Known(hash: $0.key, region: $0.value, isAccepted: isAccepted)
            }
        }
    }

    private struct Shard {
        /// Where Amazon has accepted a message.
        var accepted = Generations()
        /// Where somebody says that a user lives. Apart from the others, so that no number of words displaces what is certain.
        var said = Generations()
        var learned: [UserRegions.Source: Int] = [:]
    }

    private final class ShardBox: Sendable {
        let shard = Mutex(Shard())
    }

    private struct Gone {
        var until: NIODeadline
        var userID: String
    }

    private static let shardCount = 16

    private let shards = (0..<SkillUsers.shardCount).map { _ in ShardBox() }
    private let usersPerGeneration: Atomic<Int>
    private let maximumGoneUsers: Atomic<Int>
    private let goneFor: TimeAmount
    private let keyed: SipHash
    /// Nil: what this process learns it keeps to itself.
    private let shared: SharedUsers?
    private let gone = Mutex<[UInt64: Gone]>([:])
    /// Nearly always zero, so that nobody has to ask.
    private let goneCount = Atomic<Int>(0)

    /// Of what is kept for the next process: how often it changed.
    private let changeCount = Atomic<Int>(0)

    /// - Parameters:
    ///   - goneFor: how long a user counts as gone: Amazon may have been mistaken.
    ///   - hash: of users.
    init(_ share: Share, goneFor: TimeAmount, hash: SipHash, shared: SharedUsers? = nil) {
        self.shared = shared
        keyed = hash
        usersPerGeneration = Atomic(Self.perGeneration(share))
        maximumGoneUsers = Atomic(share.goneUsers)
        self.goneFor = goneFor
    }

    func use(_ share: Share) {
        usersPerGeneration.store(Self.perGeneration(share), ordering: .relaxed)
        maximumGoneUsers.store(share.goneUsers, ordering: .relaxed)
    }

    /// Two kinds of knowledge, two generations each.
    private static func perGeneration(_ share: Share) -> Int { max(1, share.users / (4 * shardCount)) }

    private var limit: Int { usersPerGeneration.load(ordering: .relaxed) }

    func region(of user: UserID) -> Region? {
        let hash = self.hash(user)
        return shards[Self.place(hash)].shard.withLock { shard in
            shard.accepted.renew(hash, limit: limit) ?? shard.said.renew(hash, limit: limit)
        }
    }

    /// Whether somebody only says so.
    func isOnlySaid(_ user: UserID) -> Bool {
        let hash = self.hash(user)
        return shards[Self.place(hash)].shard.withLock { $0.accepted[hash] == nil }
    }

    /// Takes in where a user lives. What Amazon has accepted outranks what anybody says.
    ///
    /// - Returns: where the user is taken to live from now on.
    @discardableResult
    func learn(_ region: Region, of user: UserID, from source: UserRegions.Source) -> Region {
        let lesson = learn(region, self.hash(user), from: source, isCertain: source != .put)
        if lesson.isChanged { shared?.tell(source == .put ? .said(region) : .accepted(region), of: user) }
        return lesson.region
    }

    private func learn(
        _ region: Region, _ hash: UInt64, from source: UserRegions.Source, isCertain: Bool
    ) -> Lesson {
        let lesson = shards[Self.place(hash)].shard.withLock { shard in
            Self.learn(region, hash, from: source, isCertain: isCertain, in: &shard, limit: limit)
        }
        if lesson.isChanged { changed() }
        if lesson.isNew && goneCount.load(ordering: .relaxed) > 0 { returned(hash) }
        return lesson
    }

    private struct Lesson {
        var region: Region
        var isNew = false
        /// What is kept of the user is another, if only that it is certain now.
        var isChanged = false
    }

    private static func learn(
        _ region: Region, _ hash: UInt64, from source: UserRegions.Source, isCertain: Bool, in shard: inout Shard,
        limit: Int
    ) -> Lesson {
        if isCertain && shard.accepted.young[hash] == region { return Lesson(region: region) }
        let accepted = shard.accepted[hash]
        if !isCertain, let accepted { return Lesson(region: accepted) }
        let isNew = (accepted ?? shard.said[hash]) != region
        let isChanged = isNew || (isCertain && accepted != region)
        if isCertain {
            shard.accepted.put(hash, region, limit: limit)
            shard.said.remove(hash)
        } else {
            shard.said.put(hash, region, limit: limit)
        }
        if isNew { shard.learned[source, default: 0] += 1 }
        return Lesson(region: region, isNew: isNew, isChanged: isChanged)
    }

    /// The region that was taken for this user's does not know the user.
    func doubt(_ region: Region, of user: UserID) {
        let hash = self.hash(user)
        shards[Self.place(hash)].shard.withLock { shard in
            if shard.accepted[hash] == region { shard.accepted.remove(hash) }
            if shard.said[hash] == region { shard.said.remove(hash) }
        }
        changed()
        shared?.tell(.notIn(region), of: user)
    }

    /// Whether no region knew this user a while ago.
    func isGone(_ user: UserID, now: NIODeadline) -> Bool {
        guard goneCount.load(ordering: .relaxed) > 0 else { return false }
        let hash = self.hash(user)
        return gone.withLock { gone in (gone[hash]?.until ?? .distantPast) > now }
    }

    /// - Returns: whether the user counts as gone now, and did not before.
    @discardableResult
    func leave(_ user: UserID, now: NIODeadline) -> Bool {
        let departure = leave(user, until: now + goneFor, now: now)
        // Other replicas hear of as many as are kept.
        if departure != .notKept { shared?.tell(.gone(for: Duration(goneFor)), of: user) }
        return departure == .new
    }

    private enum Departure {
        case new
        case known
        /// There was no room for the user.
        case notKept
    }

    @discardableResult
    private func leave(_ user: UserID, until end: NIODeadline, now: NIODeadline) -> Departure {
        let (hash, userID) = (self.hash(user), user.text)
        let maximum = maximumGoneUsers.load(ordering: .relaxed)
        let departure = gone.withLock { gone -> Departure in
            if gone.count >= maximum { gone = gone.filter { $0.value.until > now } }
            let isKnown = (gone[hash]?.until ?? .distantPast) > now
            guard isKnown || gone.count < maximum else { return .notKept }
            gone[hash] = Gone(until: end, userID: userID)
            goneCount.store(gone.count, ordering: .relaxed)
            return isKnown ? .known : .new
        }
        changed()
        return departure
    }

    private func returned(_ hash: UInt64) {
        gone.withLock { gone in
            gone[hash] = nil
            goneCount.store(gone.count, ordering: .relaxed)
        }
    }

    // MARK: Other replicas

    /// Whether replicas tell each other what they learn.
    var areShared: Bool { shared != nil }

    /// Takes in what another replica has told of a user whose region this process does not know. Nil: there is nothing to ask for.
    func askReplicas(of user: UserID, on eventLoop: any EventLoop) -> EventLoopFuture<Void>? {
        guard let shared, region(of: user) == nil else { return nil }
        let promise = eventLoop.makePromise(of: Void.self)
        shared.find(user) { [self] finding in
            if let finding { take(finding, of: user, now: .now()) }
            promise.succeed()
        }
        return promise.futureResult
    }

    private func take(_ finding: UserFinding, of user: UserID, now: NIODeadline) {
        switch finding {
        case .accepted(let region): _ = learn(region, hash(user), from: .replica, isCertain: true)
        case .said(let region): _ = learn(region, hash(user), from: .replica, isCertain: false)
        case .gone(let duration):
            // Amazon may have accepted a message meanwhile.
            guard region(of: user) == nil else { return }
            leave(user, until: now + min(TimeAmount(duration), goneFor), now: now)
        case .nothing: break
        }
    }

    // MARK: For the operator

    func goneUsers(now: NIODeadline) -> [String] {
        gone.withLock { gone in gone.values.filter { $0.until > now }.map(\.userID) }
    }

    /// How many were learned, since the start.
    var learned: [UserRegions.Source: Int] {
        shards.reduce(into: [:]) { sum, box in sum.merge(box.shard.withLock { $0.learned }, uniquingKeysWith: +) }
    }

    private static func place(_ hash: UInt64) -> Int { Int(hash % UInt64(shardCount)) }

    private func hash(_ user: UserID) -> UInt64 { user.canonical.withUnsafeReadableBytes { keyed.hash($0) } }

    // MARK: For the next process

    /// Rises with what is kept for the next process.
    var changes: Int { changeCount.load(ordering: .relaxed) }

    private func changed() { changeCount.add(1, ordering: .relaxed) }

    /// Whether somebody is kept as gone whose time is over.
    func hasReturned(now: NIODeadline) -> Bool {
        goneCount.load(ordering: .relaxed) > 0 && gone.withLock { $0.values.contains { $0.until <= now } }
    }

    /// Forgets those whose time is over.
    private func removeReturned(now: NIODeadline) {
        gone.withLock { gone in
            gone = gone.filter { $0.value.until > now }
            goneCount.store(gone.count, ordering: .relaxed)
        }
    }

    func snapshot(name: String, now: NIODeadline) -> UserRegionsSnapshot.OneSkill {
        removeReturned(now: now)
        var snapshot = UserRegionsSnapshot.OneSkill(name: name)
        for box in shards {
            snapshot.known += box.shard.withLock {
                $0.said.known(isAccepted: false) + $0.accepted.known(isAccepted: true)
            }
        }
        snapshot.gone = gone.withLock { $0 }.map {
            UserRegionsSnapshot.Gone(hash: $0.key, userID: $0.value.userID, until: $0.value.until)
        }
        return snapshot
    }

    /// Takes in what an earlier process knew. To be called before anybody asks.
    func restore(_ snapshot: UserRegionsSnapshot.OneSkill, now: NIODeadline) {
        for known in snapshot.known {
            shards[Self.place(known.hash)].shard.withLock { shard in
                if known.isAccepted {
                    shard.accepted.put(known.hash, known.region, limit: limit)
                } else {
                    shard.said.put(known.hash, known.region, limit: limit)
                }
            }
        }
        let maximum = maximumGoneUsers.load(ordering: .relaxed)
        gone.withLock { gone in
            for user in snapshot.gone.lazy.filter({ $0.until > now }).prefix(maximum) {
                gone[user.hash] = Gone(until: min(user.until, now + goneFor), userID: user.userID)
            }
            goneCount.store(gone.count, ordering: .relaxed)
        }
    }
}
