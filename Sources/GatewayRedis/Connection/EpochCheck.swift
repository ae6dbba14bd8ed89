/// The key that is looked at behind claims, on the server that they were made on: it has no expiry, so only the loss of the
/// records changes it.
struct EpochCheck: Equatable {
    var key: String
    /// What it held when it was looked at last; nil: nothing.
    var expected: String?
    /// Whether nothing is to be sent for what the store may have forgotten.
    var holds: Bool

    /// An error, as from a server that does not keep the key any more, says nothing about the records.
    func isChanged(_ reply: RESPValue) -> Bool {
        if case .error = reply { return false }
        return reply.text != expected
    }

    func isForgotten(_ reply: RESPValue) -> Bool {
        guard holds else { return false }
        return isChanged(reply) || StoreEpoch(expected)?.isSound != true
    }
}
