import FoundationEssentials

/// What Alexa posts to a skill for a message: the request `Messaging.MessageReceived` in its envelope.
struct RequestEnvelope {
    var skillID: String
    var message: AcceptedMessage
    /// The base URL of the user's region, as the skill is to hand it on.
    var apiEndpoint: String
    var now: Date

    /// New tokens and a new `requestId` each time, as with every request of Alexa's.
    func encoded() throws -> [UInt8] {
        let user = JSONValue.object([
            "userId": .string(message.userId),
            "permissions": .object(["consentToken": .string("Atza|simulated-\(UUID().uuidString)")]),
        ])
        let envelope = JSONValue.object([
            "version": .string("1.0"),
            "context": .object([
                "System": .object([
                    "application": .object(["applicationId": .string(skillID)]),
                    "user": user,
                    "apiEndpoint": .string(apiEndpoint),
                    "apiAccessToken": .string("simulated-\(UUID().uuidString)"),
                ])
            ]),
            "request": .object([
                "type": .string("Messaging.MessageReceived"),
                "requestId": .string("amzn1.echo-api.request.\(UUID().uuidString.lowercased())"),
                "timestamp": .string(now.formatted(.iso8601)),
                "message": message.data,
            ]),
        ])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(envelope))
    }
}
