/// An access token of the gateway, as its caller gets it.
public struct IssuedAccessToken: Equatable, Sendable {
    public var text: String
    public var lifetimeSeconds: Int
}
