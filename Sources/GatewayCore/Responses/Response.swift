/// The response to a caller: Amazon's, or one of the gateway's own.
package struct Response: Equatable, Sendable {
    package enum Content: Equatable, Sendable {
        case upstream(UpstreamResponse)
        case refusal(Refusal)
        /// What has become of an idempotency key.
        case report(KeyStatus)
        case accessToken(IssuedAccessToken)
        /// The region that is now recorded for a user.
        case userRegion(Region)
        /// What a skill is told of the messages that it reports.
        case receipts([ReceiptResult], isList: Bool)
        /// What would become of a message.
        case validation(MessageValidation)
        case page(Page)

        /// The outcome of a message.
        init(_ outcome: Result<UpstreamResponse, Refusal>) {
            switch outcome {
            case .success(let answer): self = .upstream(answer)
            case .failure(let refusal): self = .refusal(refusal)
            }
        }
    }

    /// Where the response comes from; a metric label.
    package enum Source: String, CaseIterable, Sendable { case upstream, gateway, replay }

    /// Why the record of a message's key is not, or not yet, in the shared store.
    package enum Deduplication: String, Sendable {
        /// Other replicas do not know of this message: their shared store could not be reached.
        case replica
        /// The shared store has not yet confirmed the acceptance. Until it does, a retry may be answered with "outcome
        /// unknown"; it is not sent.
        case pending
    }

    package var content: Content
    /// The message's region, once determined.
    package var region: Region?
    /// The answer of an earlier or concurrent request with the same idempotency key.
    package var isReplay: Bool
    /// Nil if the record is where it should be.
    var deduplication: Deduplication?
    /// Who says that the message was accepted, where Amazon's answer is not known.
    var witness: AcceptedResponse.Witness?
    /// The message's key where its sender cannot know it otherwise.
    var toldKey: IdempotencyKey?
    /// Nil if the caller's rate is not limited.
    var quota: RateLimit.Quota?

    package init(_ content: Content, region: Region?, isReplay: Bool = false) {
        self.content = content
        self.region = region
        self.isReplay = isReplay
    }

    package var status: Int {
        switch content {
        case .upstream(let answer): answer.status
        case .refusal(let refusal): refusal.problem.row.status
        case .report, .accessToken, .userRegion, .receipts, .validation: 200
        case .page(let page): page.status
        }
    }

    package var source: Source {
        if isReplay { return .replay }
        return switch content {
        case .upstream: witness == nil ? .upstream : .gateway
        case .refusal, .report, .accessToken, .userRegion, .receipts, .validation, .page: .gateway
        }
    }
}
