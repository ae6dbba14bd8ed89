/// An access token of the gateway, as its caller gets it.
package struct IssuedAccessToken: Equatable, Sendable {
    package var text: String
    package var lifetimeSeconds: Int
}
