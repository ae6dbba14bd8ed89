/// Something that a machine may want to act on; `GatewayEvents` delivers it.
package struct GatewayEvent: Equatable, Sendable {
    /// As the configuration and the metrics name them.
    package enum Kind: String, CaseIterable, Sendable {
        case userGone = "user-gone"
        case outcomeUnknown = "outcome-unknown"
        case receiptOverdue = "receipt-overdue"
        case tokenFailing = "token-failing"
        case tokenRecovered = "token-recovered"
        case circuitOpened = "circuit-opened"
        case circuitClosed = "circuit-closed"
    }

    package enum Occurrence: Equatable, Sendable {
        /// No region knows the user.
        case userGone(userID: String, skill: String, caller: String)
        /// The message was sent, and nobody has found out since whether Amazon accepted it.
        case outcomeUnknown(MessageReference, problem: Problem)
        /// Amazon accepted the message and can deliver it no longer, and its skill has not reported it.
        ///
        /// `standsFor`: so many messages, since not all are looked at when there are very many.
        case receiptOverdue(MessageReference, standsFor: Int)
        /// There was no new access token for the skill when one was asked for.
        case tokenFailing(skill: String, TokenFetchFailure)
        case tokenRecovered(skill: String)
        /// No messages are sent to the region.
        case circuitOpened(Region)
        case circuitClosed(Region)
    }

    package var occurrence: Occurrence
    /// When it happened.
    package var time: UnixTimestamp

    package init(_ occurrence: Occurrence, at time: UnixTimestamp) {
        self.occurrence = occurrence
        self.time = time
    }

    package var kind: Kind {
        switch occurrence {
        case .userGone: .userGone
        case .outcomeUnknown: .outcomeUnknown
        case .receiptOverdue: .receiptOverdue
        case .tokenFailing: .tokenFailing
        case .tokenRecovered: .tokenRecovered
        case .circuitOpened: .circuitOpened
        case .circuitClosed: .circuitClosed
        }
    }

    /// The name of the caller whose message it is about; nil: no caller brought it about.
    package var caller: String? {
        switch occurrence {
        case .userGone(_, _, let caller): caller
        case .outcomeUnknown(let message, _), .receiptOverdue(let message, _): message.caller
        case .tokenFailing, .tokenRecovered, .circuitOpened, .circuitClosed: nil
        }
    }
}

/// Which message an event is about, in words that its sender and the logs know. It holds neither userId nor key nor content.
package struct MessageReference: Equatable, Sendable {
    package var caller: String
    package var skill: String
    package var region: Region
    /// `X-Request-Id` of its response.
    package var requestID: String
    /// As in the logs; nil for a message without an idempotency key.
    package var record: String?
    /// When it was answered.
    package var answered: UnixTimestamp

    package init(
        caller: String, skill: String, region: Region, requestID: String, record: String?, answered: UnixTimestamp
    ) {
        self.caller = caller
        self.skill = skill
        self.region = region
        self.requestID = requestID
        self.record = record
        self.answered = answered
    }
}
