import NIOCore

/// A message's idempotency key, and where it comes from.
struct MessageKey {
    let key: IdempotencyKey
    let source: IdempotencyKeySource.Label

    /// The first of the caller's sources that has one; nil if none has.
    ///
    /// - Parameter field: what `Idempotency-Key` says.
    /// - Throws: also if there has to be one.
    static func find(
        _ field: IdempotencyKey?, _ exchange: Exchange, of caller: Caller, to user: UserID
    ) throws(Refusal) -> MessageKey? {
        // Silently left aside, it would not do what its sender expects of it.
        guard field == nil || caller.keySources.hasField else {
            throw Refusal(
                .fieldInvalid,
                "field `Idempotency-Key` is given; this caller's keys come from elsewhere "
                    + "(`idempotencyKeyFrom`)")
        }
        for source in caller.keySources.list {
            switch source {
            case .field:
                if let field { return MessageKey(key: field, source: .field) }
            case .data(let member):
                if let key = try key(member, of: exchange.request.content) {
                    return MessageKey(key: key, source: .data)
                }
            case .content:
                let key = exchange.forwarder.hasher.contentKey(user: user, content: exchange.request.content)
                return MessageKey(key: key, source: .content)
            }
        }
        if caller.requiresIdempotencyKey {
            try exchange.enforce(
                .idempotencyKey, on: caller,
                Refusal(
                    .idempotencyKeyRequired,
                    "the message has no key in any of the places where this caller's keys come "
                        + "from (`idempotencyKeyFrom`); this caller must send one"))
        }
        return nil
    }

    /// The key in a member of `data`; nil if there is no such member.
    private static func key(_ member: String, of content: ByteBuffer) throws(Refusal) -> IdempotencyKey? {
        let bytes = content.readableBytesUInt8Span
        let text: String?
        do {
            guard let value = try JSONMembers.value(at: ["data", member], in: bytes) else { return nil }
            text = try JSONMembers.string(bytes, value)
        } catch {
            throw Refusal(error)
        }
        guard let text else {
            throw Refusal(.idempotencyKeyInvalid, "member `\(member)` of `data` is the key, and no string")
        }
        do {
            return try IdempotencyKey(text: text, inMember: member)
        } catch {
            throw Refusal(error)
        }
    }
}
