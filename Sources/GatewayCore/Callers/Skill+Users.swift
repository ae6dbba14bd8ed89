import NIOCore

/// What is known of the users of a skill, for its messages.
extension Skill {
    func learn(_ region: Region, of user: UserID, from source: UserRegions.Source) {
        users.learn(region, of: user, from: source)
    }

    /// Where the user is known to live.
    func region(of user: UserID) -> Region? { users.region(of: user) }

    func isGone(_ user: UserID, now: NIODeadline) -> Bool { users.isGone(user, now: now) }
}
