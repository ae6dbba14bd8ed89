/// An access token that the gateway issues to a caller.
package struct IssuedAccessToken: Equatable, Sendable {
    package var text: String
    package var lifetimeSeconds: Int
}
