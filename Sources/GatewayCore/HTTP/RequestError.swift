/// Why bytes could not be parsed as a request; the detail says what is wrong, and where.
package enum RequestError: Error, Equatable, Sendable {
    case malformed(String)
    /// The head or the content exceeds its limit.
    case tooLarge(String)
}
