import Foundation
import NIOCore
import Testing

@testable import GatewayCore

/// The picture of a record's states shows what may become of it, and nothing else.
@Suite struct RecordPictureTests {
    private struct Arrow: Hashable {
        var from: String
        var event: String
        var to: String
    }

    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private static let answer = AcceptedResponse(status: 202, region: .europe, requestID: nil)

    private static func drawn() throws -> Set<Arrow> {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../Docs/Pictures/record.svg")
        let text = try String(contentsOf: file, encoding: .utf8)
        let arrows = text.matches(of: /data-from="(\w+)" data-event="(\w+)" data-to="(\w+)"/)
        return Set(arrows.map { Arrow(from: String($0.1), event: String($0.2), to: String($0.3)) })
    }

    private static func claim(_ owner: UInt64, consent: Bool = false) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: IdempotencyScope(words: (1, 2, 3, 4)), fingerprint: RequestFingerprint(words: (5, 6)),
            owner: AttemptID(origin: 1, number: owner), lease: .seconds(10), retention: .hours(1), consent: consent)
    }

    private static func name(_ record: IdempotencyRecord?) -> String {
        switch record?.state {
        case nil: "absent"
        case .sending: "sending"
        case .unknown: "unknown"
        case .accepted: "accepted"
        }
    }

    /// A record in this state, which the first attempt has made.
    private static func record(_ state: String) -> IdempotencyRecord? {
        var record: IdempotencyRecord?
        guard state != "absent" else { return nil }
        _ = IdempotencyRecord.claim(claim(1), on: &record, now: now)
        if state == "unknown" { IdempotencyRecord.settle(claim(1), .unknown, on: &record, now: now) }
        if state == "accepted" { IdempotencyRecord.settle(claim(1), .accepted(answer), on: &record, now: now) }
        return record
    }

    /// What the event makes of a record in the state.
    private static func end(of event: String, in state: String) -> String {
        var record = record(state)
        switch event {
        case "claim", "duplicate": _ = IdempotencyRecord.claim(claim(2), on: &record, now: now)
        case "consent": _ = IdempotencyRecord.claim(claim(2, consent: true), on: &record, now: now)
        case "released": IdempotencyRecord.settle(claim(1), .released, on: &record, now: now)
        case "refused": IdempotencyRecord.settle(claim(1), .refused(status: 403), on: &record, now: now)
        case "accepted": IdempotencyRecord.settle(claim(1), .accepted(answer), on: &record, now: now)
        case "unknown": IdempotencyRecord.settle(claim(1), .unknown, on: &record, now: now)
        default: return "no such event: \(event)"
        }
        return name(record)
    }

    @Test func `each arrow ends where the event leads`() throws {
        let drawn = try Self.drawn()
        #expect(drawn.count >= 10)
        for arrow in drawn { #expect(Self.end(of: arrow.event, in: arrow.from) == arrow.to, "\(arrow)") }
    }

    @Test func `each change of a record has an arrow`() throws {
        let drawn = try Self.drawn()
        let events = ["claim", "consent", "released", "refused", "accepted", "unknown"]
        for state in ["absent", "sending", "unknown", "accepted"] {
            // Of a record that is gone, no attempt is left to end; and consent is of no matter there.
            for event in state == "absent" ? ["claim"] : events {
                let arrow = Arrow(from: state, event: event, to: Self.end(of: event, in: state))
                if arrow.to != state { #expect(drawn.contains(arrow), "\(arrow)") }
            }
        }
    }

    @Test func `a resend that is refused leaves the outcome unknown`() {
        var record = Self.record("unknown")
        _ = IdempotencyRecord.claim(Self.claim(2, consent: true), on: &record, now: Self.now)
        IdempotencyRecord.settle(Self.claim(2, consent: true), .refused(status: 400), on: &record, now: Self.now)
        #expect(Self.name(record) == "unknown")
    }
}
