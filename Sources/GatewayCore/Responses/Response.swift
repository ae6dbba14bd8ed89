/// What the caller gets: Amazon's answer, or one of the gateway's own.
package struct Response: Equatable, Sendable {
    package enum Content: Equatable, Sendable {
        case upstream(UpstreamResponse)
        case refusal(Refusal)
        /// What became of an idempotency key.
        case report(KeyReport.State)
        case accessToken(IssuedAccessToken)
        /// Where a user lives, as somebody said.
        case userRegion(Region)
        case page(Page)

        /// What a message came to.
        init(_ outcome: Result<UpstreamResponse, Refusal>) {
            switch outcome {
            case .success(let answer): self = .upstream(answer)
            case .failure(let refusal): self = .refusal(refusal)
            }
        }
    }

    /// Who said it; a label of the metrics.
    package enum Source: String, CaseIterable, Sendable { case upstream, gateway, replay }

    /// What became of the record of a message's key, where it is not as it should be.
    package enum Deduplication: String, Sendable {
        /// Other replicas do not know of this message: their shared store could not be reached.
        case replica
        /// The shared store has not confirmed yet that the message was accepted; until it does, a retry may be answered as one
        /// whose outcome is unknown. It is not sent in any case.
        case pending
    }

    package var content: Content
    /// The region the message was for, once that was settled.
    package var region: Region?
    /// The answer of an earlier or concurrent request with the same idempotency key.
    package var isReplay: Bool
    /// What a caller should know of the record of its key; nil: it is where it should be.
    var deduplication: Deduplication?

    package init(_ content: Content, region: Region?, isReplay: Bool = false) {
        self.content = content
        self.region = region
        self.isReplay = isReplay
    }

    package var status: Int {
        switch content {
        case .upstream(let answer): answer.status
        case .refusal(let refusal): refusal.problem.row.status
        case .report, .accessToken, .userRegion: 200
        case .page(let page): page.status
        }
    }

    package var source: Source {
        if isReplay { return .replay }
        return switch content {
        case .upstream: .upstream
        case .refusal, .report, .accessToken, .userRegion, .page: .gateway
        }
    }
}
