/// A message that was answered 202.
struct AcceptedMessage: Codable, Sendable {
    var region: SimulatedRegion
    var userId: String
    var requestId: String
    var clientId: String
    var data: JSONValue
    var expiresAfterSeconds: Int
    /// As the request had it.
    var traceparent: String?
}
