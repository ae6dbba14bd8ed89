/// Something that another system may want to act on; `GatewayEvents` delivers it.
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
        /// The message was sent, and it has not become known since whether Amazon accepted it.
        case outcomeUnknown(MessageReference, problem: Problem)
        /// Amazon accepted the message and can deliver it no longer, and its skill has not reported it.
        ///
        /// `standsFor`: so many messages, since not all are looked at when there are very many.
        case receiptOverdue(MessageReference, standsFor: Int)
        /// The token endpoint has given the skill no token. `tokenExpires`: when the one at hand expires; nil if there is none.
        case tokenFailing(skill: String, TokenFetchFailure, tokenExpires: UnixTimestamp?)
        case tokenRecovered(skill: String)
        /// An event loop has stopped sending messages to the region.
        case circuitOpened(Region)
        /// All event loops send messages to it again.
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
