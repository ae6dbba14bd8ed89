package import NIOCore

/// What a process knows about users, for the next one.
package struct UserRegionsSnapshot: Equatable, Sendable {
    package struct Known: Equatable, Sendable {
        package var hash: UInt64
        package var region: Region
        /// Amazon has accepted a message there; else somebody said so.
        package var isAccepted: Bool

        package init(hash: UInt64, region: Region, isAccepted: Bool) {
            self.hash = hash
            self.region = region
            self.isAccepted = isAccepted
        }
    }

    package struct Gone: Equatable, Sendable {
        package var hash: UInt64
        package var userID: String
        package var until: NIODeadline

        package init(hash: UInt64, userID: String, until: NIODeadline) {
            self.hash = hash
            self.userID = userID
            self.until = until
        }
    }

    package struct OneSkill: Equatable, Sendable {
        package var name: String
        /// Those that were asked for last come last.
        package var known: [Known] = []
        package var gone: [Gone] = []

        package init(name: String) {
            self.name = name
        }
    }

    /// Hashes users.
    package var hash: SipHash
    package var skills: [OneSkill]

    package init(hash: SipHash, skills: [OneSkill]) {
        self.hash = hash
        self.skills = skills
    }
}
