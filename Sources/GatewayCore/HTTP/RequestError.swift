/// Why bytes are no request; with what is wrong with them, and where.
package enum RequestError: Error, Equatable, Sendable {
    case malformed(String)
    /// Its head or its content is.
    case tooLarge(String)
}
