import NIOCore

/// The key that is looked at behind claims, on the server that they were made on: it has no expiry, so only the loss of the
/// records changes it.
struct EpochCheck {
    let key: String
    /// What it held when it was looked at last; nil: nothing.
    let expected: StoreEpoch?
    /// Whether nothing is to be sent for what the store may have forgotten.
    let holds: Bool
    /// The command, ready to be sent, and the reply to it, ready to be compared.
    let question: ByteBuffer
    private let answer: RESPValue

    init(key: String, expected: StoreEpoch?, holds: Bool) {
        self.key = key
        self.expected = expected
        self.holds = holds
        var question = ByteBuffer()
        question.writeRESPCommand(["GET", key])
        self.question = question
        answer = expected.map { .string(ByteBuffer(string: $0.text)) } ?? .null
    }

    /// An error, as from a server that does not keep the key any more, says nothing about the records.
    func isChanged(_ reply: RESPValue) -> Bool {
        if case .error = reply { return false }
        return reply != answer
    }

    func isForgotten(_ reply: RESPValue) -> Bool {
        holds && (isChanged(reply) || isUnreadable(reply) || expected?.isSound != true)
    }

    /// Neither kept elsewhere nor there as it should be: it may have been lost as well.
    private func isUnreadable(_ reply: RESPValue) -> Bool {
        guard case .error(let text) = reply else { return false }
        return !["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"].contains { text.hasPrefix($0) }
    }
}
