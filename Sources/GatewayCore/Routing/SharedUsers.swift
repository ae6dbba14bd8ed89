import Crypto
import NIOCore

/// By what replicas know a user of a skill among themselves. Does not contain the userId.
package struct SharedUserID: Equatable, Sendable {
    /// 22 characters of base64url (RFC 4648 section 5).
    package let user: String
    /// Of the skill: 11 such characters.
    package let skill: String
    /// Where what callers say of the user is kept, from 0 to 65,535: the room for it is bounded, and a newer user takes the place of an
    /// older.
    package let place: UInt16
}

/// What a replica finds that others know of a user.
package enum UserFinding: Equatable, Sendable {
    /// Amazon has accepted a message there.
    case accepted(Region)
    /// A caller says that the user lives there.
    case said(Region)
    /// No region knows the user, for so long yet.
    case gone(for: Duration)
    case nothing
}

/// What a replica tells the others of a user.
package enum UserNews: Equatable, Sendable {
    case accepted(Region)
    case said(Region)
    case gone(for: Duration)
    /// That region does not know the user.
    case notIn(Region)
}

/// Asks the store in which replicas keep what they know of users.
package protocol SharedUserClient: Sendable {
    /// Calls `then` once, on any thread; with nil if the store cannot be asked, or has said nothing in time.
    func find(_ user: SharedUserID, _ then: @escaping @Sendable (UserFinding?) -> Void)

    /// Lost if the store cannot be reached: that costs one more try of a message.
    func tell(_ news: UserNews, of user: SharedUserID)
}

/// The users of one skill, as all replicas know them.
struct SharedUsers {
    private let client: any SharedUserClient
    private let key: SymmetricKey
    private let skill: [UInt8]
    private let skillText: String

    /// - Parameter key: the same on all replicas.
    init(_ client: any SharedUserClient, skill: String, key: SymmetricKey) {
        self.client = client
        self.key = key
        self.skill = Array(HMAC<SHA256>.authenticationCode(for: Array(skill.utf8), using: key))
        skillText = Base64.encodeForURL(Array(self.skill[..<8]))
    }

    private func id(_ user: UserID) -> SharedUserID {
        var hash = HMAC<SHA256>(key: key)
        hash.update(data: skill)
        user.canonical.withUnsafeReadableBytes { hash.update(data: $0) }
        let code = Array(hash.finalize())
        return SharedUserID(
            user: Base64.encodeForURL(Array(code[..<16])), skill: skillText,
            place: UInt16(code[16]) << 8 | UInt16(code[17]))
    }

    func find(_ user: UserID, _ then: @escaping @Sendable (UserFinding?) -> Void) { client.find(id(user), then) }

    func tell(_ news: UserNews, of user: UserID) { client.tell(news, of: id(user)) }
}
