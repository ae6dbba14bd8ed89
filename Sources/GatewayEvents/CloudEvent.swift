import FoundationEssentials
package import GatewayCore

/// An event in the JSON format of CloudEvents 1.0.
package struct CloudEvent: Equatable, Sendable {
    /// What all types begin with.
    package static let typePrefix = "skillgate."
    package static let contentType = "application/cloudevents+json; charset=utf-8"

    /// Together with the source it names one event, whenever and however often it is delivered.
    package let id: String
    /// As JSON.
    package let content: [UInt8]

    /// - Parameters:
    ///   - id: unique among those of the host.
    ///   - host: the name of the machine or container.
    package init(_ event: GatewayEvent, id: String, host: String) {
        let data = Details(event.occurrence)
        self.init(
            type: event.kind.rawValue, subject: event.subject, data: data, at: event.time, id: id, host: host)
    }

    /// An event that says nothing but that events arrive.
    package static func ping(at time: UnixTimestamp, id: String, host: String) -> Self {
        Self(type: "ping", subject: nil, data: Details(), at: time, id: id, host: host)
    }

    private init(type: String, subject: String?, data: Details, at time: UnixTimestamp, id: String, host: String) {
        self.id = id
        let envelope = Envelope(
            // A source is a URI reference (RFC 3986 section 4.1).
            specversion: "1.0", id: id,
            source: "/skillgate/\(PercentEncoding.segment(host.isEmpty ? "unknown" : host))",
            type: Self.typePrefix + type, time: time.text, subject: subject, datacontenttype: "application/json",
            data: data)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        content = (try? encoder.encode(envelope)).map(Array.init) ?? []
    }

    private struct Envelope: Encodable {
        var specversion: String
        var id: String
        var source: String
        var type: String
        var time: String
        var subject: String?
        var datacontenttype: String
        var data: Details
    }

    /// Members that an event has nothing to say of are missing.
    fileprivate struct Details: Encodable {
        var skill: String?
        var userId: String?
        var caller: String?
        var region: String?
        var requestId: String?
        var record: String?
        var answeredAt: String?
        var problem: String?
        var standsFor: Int?
        var reason: String?
        var detail: String?
        var tokenExpiresAt: String?
    }
}

extension CloudEvent.Details {
    fileprivate init(_ occurrence: GatewayEvent.Occurrence) {
        switch occurrence {
        case .userGone(let userID, let skill, let caller): self.init(skill: skill, userId: userID, caller: caller)
        case .outcomeUnknown(let message, let problem):
            self.init(message)
            self.problem = problem.rawValue
        case .receiptOverdue(let message, let standsFor):
            self.init(message)
            self.standsFor = standsFor
        case .tokenFailing(let skill, let failure, let expires):
            self.init(
                skill: skill, reason: failure.reason.rawValue, detail: failure.detail, tokenExpiresAt: expires?.text)
        case .tokenRecovered(let skill): self.init(skill: skill)
        case .circuitOpened(let region), .circuitClosed(let region): self.init(region: region.name)
        }
    }

    private init(_ message: MessageReference) {
        self.init(
            skill: message.skill, caller: message.caller, region: message.region.name, requestId: message.requestID,
            record: message.record, answeredAt: message.answered.text)
    }
}

extension GatewayEvent {
    /// The skill or region that it is about. Not a user: intermediaries look at subjects.
    fileprivate var subject: String {
        switch occurrence {
        case .userGone(_, let skill, _), .tokenFailing(let skill, _, _), .tokenRecovered(let skill): "skills/\(skill)"
        case .outcomeUnknown(let message, _), .receiptOverdue(let message, _): "skills/\(message.skill)"
        case .circuitOpened(let region), .circuitClosed(let region): "regions/\(region.name)"
        }
    }
}
