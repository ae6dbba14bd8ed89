/// Where accepted messages are delivered to: the endpoint of a skill.
public struct SkillEndpoint: Sendable {
    /// Posts content of type `application/json` and returns the status of the answer; throws when there is none.
    public typealias Post = @Sendable (_ content: [UInt8]) async throws -> Int

    public var post: Post
    /// `context.System.application.applicationId`.
    public var skillID: String
    /// Seconds of Amazon's that pass in one of ours.
    public var speed: Double

    public init(skillID: String, speed: Double, post: @escaping Post) {
        self.post = post
        self.skillID = skillID
        self.speed = speed
    }
}
