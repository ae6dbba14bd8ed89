/// An answer of the gateway's own: which problem, and what the caller is told about this case of it.
public struct Refusal: Error, Equatable, Sendable {
    /// How it is written.
    public enum Form: Equatable, Sendable {
        /// RFC 9457.
        case problemDetails
        /// RFC 6749 section 5.2: at the token endpoint.
        case oauth
    }

    public var problem: Problem
    /// For the caller: what is wrong, what was expected and where. Never a secret, a token or message data.
    public var detail: String
    /// Seconds after which it makes sense to try again.
    public var retryAfterSeconds: Int?
    /// The methods of the target, on 405.
    public var allow: String?
    /// The status that came from the upstream, where one came and was not passed on.
    public var receivedStatus: Int?
    public var form = Form.problemDetails

    public init(_ problem: Problem, _ detail: String, retryAfterSeconds: Int? = nil) {
        self.problem = problem
        self.detail = detail
        self.retryAfterSeconds = retryAfterSeconds
    }
}
