/// Why a message came to nothing, where that is for an operator to know: neither the caller's doing nor the user's.
package enum Trouble: Equatable, Sendable {
    /// The gateway answered by itself.
    case refusal(Refusal)
    /// Amazon answered: with 403, 429 or 5xx.
    case answer(status: Int)

    init?(_ answer: Response) {
        switch answer.content {
        case .refusal(let refusal) where refusal.problem.row.severity == .warning: self = .refusal(refusal)
        case .upstream(let upstream) where !answer.isReplay && Self.statuses.contains(upstream.status):
            self = .answer(status: upstream.status)
        case .refusal, .upstream, .report, .accessToken, .userRegion, .receipts, .validation, .page: return nil
        }
    }

    private static let statuses = Set([403, 429] + Array(500...599))

    /// Sent, and nobody knows what became of it.
    package var isOutcomeUnknown: Bool {
        guard case .refusal(let refusal) = self else { return false }
        return refusal.problem.row.resend == .mayDouble && refusal.problem != .outcomeUnknownEarlier
    }
}
