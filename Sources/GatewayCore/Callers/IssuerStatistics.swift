package import NIOCore

/// Of the keys of one issuer of JSON Web Tokens, for metrics and readiness.
package struct IssuerStatistics: Sendable {
    /// Keys that there are.
    package var keys = 0
    /// Fetches of keys.
    package var succeeded = 0
    package var failed = 0
    /// When those that are there were asked for; nil if they never were fetched.
    package var fetched: NIODeadline?
    /// The last fetch failed.
    package var isFailing = false

    package init() {}
}
