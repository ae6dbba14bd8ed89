/// An answer of the gateway's own: which problem, and what the caller is told about this case of it.
package struct Refusal: Error, Equatable, Sendable {
    /// How it is written.
    package enum Form: Equatable, Sendable {
        /// RFC 9457.
        case problemDetails
        /// RFC 6749 section 5.2: at the token endpoint.
        case oauth
    }

    package var problem: Problem
    /// For the caller: what is wrong, what was expected and where. Never a secret, a token or message data.
    package var detail: String
    /// Seconds after which it makes sense to try again.
    var retryAfterSeconds: Int?
    /// The methods of the target, on 405.
    package var allow: String?
    /// The status that came from the upstream, where one came and was not passed on.
    var receivedStatus: Int?
    package var form = Form.problemDetails

    package init(_ problem: Problem, _ detail: String, retryAfterSeconds: Int? = nil) {
        self.problem = problem
        self.detail = detail
        self.retryAfterSeconds = retryAfterSeconds
    }
}
