/// Where accepted messages are delivered to: the endpoint of a skill.
package struct SkillEndpoint: Sendable {
    /// Posts content of type `application/json` and returns the status of the answer; throws when there is none.
    package typealias Post = @Sendable (_ content: [UInt8]) async throws -> Int

    package var post: Post
    /// `context.System.application.applicationId`.
    package var skillID: String
    /// Seconds of Amazon's that pass in one of ours.
    package var speed: Double

    package init(skillID: String, speed: Double, post: @escaping Post) {
        self.post = post
        self.skillID = skillID
        self.speed = speed
    }
}
