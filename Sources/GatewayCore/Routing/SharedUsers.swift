import Crypto
import NIOCore

/// By what replicas know a user of a skill among themselves. Names nobody.
package struct SharedUserID: Equatable, Sendable {
    private static let placeCount = 65_536

    /// 22 characters of base64url (RFC 4648 section 5).
    package let user: String
    /// Of the skill: 11 such characters.
    package let skill: String
    /// Where what callers say of the user is kept: the room for it is bounded, and a newer user takes the place of an older.
    package let place: Int

    /// - Parameter key: the same on all replicas.
    init(_ user: UserID, skill name: String, key: SymmetricKey) {
        let skill = Array(HMAC<SHA256>.authenticationCode(for: Array(name.utf8), using: key))
        var hash = HMAC<SHA256>(key: key)
        hash.update(data: skill)
        user.canonical.withUnsafeReadableBytes { hash.update(data: $0) }
        let code = Array(hash.finalize())
        self.user = Base64.encodeForURL(Array(code[..<16]))
        self.skill = Base64.encodeForURL(Array(skill[..<8]))
        place = code[16..<18].reduce(0) { $0 << 8 | Int($1) } % Self.placeCount
    }
}

/// What one replica tells the others of a user.
package enum UserFact: Equatable, Sendable {
    /// Amazon has accepted a message there.
    case accepted(Region)
    /// Somebody says that the user lives there.
    case said(Region)
    /// No region knows the user.
    case gone(for: Duration)
    /// That region does not know the user.
    case notIn(Region)
    /// Nobody has told anything.
    case unknown
}

/// Keeps what replicas know of users: Redis.
package protocol UserServer: Sendable {
    /// Calls `then` once, on any thread; with nil if the server cannot be asked, or has said nothing in time.
    func find(_ user: SharedUserID, _ then: @escaping @Sendable (UserFact?) -> Void)

    /// Tells the other replicas. Lost if the server cannot be reached: that costs one more try of a message.
    func tell(_ fact: UserFact, of user: SharedUserID)
}

/// The users of one skill, as all replicas know them.
struct SharedUsers {
    let server: any UserServer
    let key: SymmetricKey
    let skill: String

    func id(_ user: UserID) -> SharedUserID { SharedUserID(user, skill: skill, key: key) }

    func tell(_ fact: UserFact, of user: UserID) { server.tell(fact, of: id(user)) }
}
