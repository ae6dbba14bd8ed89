/// Which message an event is about, in words that its sender and the logs know. It holds neither userId nor key nor content.
///
/// A class, so that a watch of many messages holds no more than a pointer for each where nobody wants events.
package final class MessageReference: Equatable, Sendable {
    package let caller: String
    package let skill: String
    package let region: Region
    /// `X-Request-Id` of its response.
    package let requestID: String
    /// Nil for a message without an idempotency key.
    private let scope: IdempotencyScope?
    /// When Amazon accepted it, or when its sender was told that its outcome is unknown.
    package let answered: UnixTimestamp

    package init(
        caller: String, skill: String, region: Region, requestID: String, scope: IdempotencyScope?,
        answered: UnixTimestamp
    ) {
        self.caller = caller
        self.skill = skill
        self.region = region
        self.requestID = requestID
        self.scope = scope
        self.answered = answered
    }

    /// The name of its idempotency record in the logs.
    package var record: String? { scope?.hexadecimal }

    package static func == (one: MessageReference, other: MessageReference) -> Bool {
        one.caller == other.caller && one.skill == other.skill && one.region == other.region
            && one.requestID == other.requestID && one.scope == other.scope && one.answered == other.answered
    }
}
