/// Where accepted messages are delivered to: the endpoint of a skill, or a skill that is simulated, too.
package struct SkillEndpoint: Sendable {
    /// Posts content of type `application/json` and returns the status of the answer; throws when there is none.
    package typealias Post = @Sendable (_ content: [UInt8]) async throws -> Int

    /// Nil: each message is acknowledged at once.
    package var post: Post?
    /// Nil: whoever gets the messages may report them.
    package var receipts: Receipts?
    /// `context.System.application.applicationId`.
    package var skillID: String
    /// Seconds of Amazon's that pass in one of ours.
    package var speed: Double

    /// Where messages that the skill has acknowledged are reported.
    package struct Receipts: Sendable {
        /// The member of `data` that holds the id.
        package var member: String
        /// Posts content of type `application/json` and returns the answer; throws when there is none.
        package var post: @Sendable (_ content: [UInt8]) async throws -> (status: Int, content: [UInt8])

        package init(
            member: String,
            post: @escaping @Sendable (_ content: [UInt8]) async throws -> (status: Int, content: [UInt8])
        ) {
            self.member = member
            self.post = post
        }
    }

    package init(skillID: String, speed: Double, receipts: Receipts? = nil, post: Post?) {
        self.post = post
        self.receipts = receipts
        self.skillID = skillID
        self.speed = speed
    }
}
