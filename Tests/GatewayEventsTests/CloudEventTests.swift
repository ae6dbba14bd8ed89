import Foundation
import GatewayCore
import Testing

@testable import GatewayEvents

@Suite struct CloudEventTests {
    private let time = UnixTimestamp(seconds: 1_795_497_192, nanoseconds: 5_000_000)

    private func text(_ occurrence: GatewayEvent.Occurrence, host: String = "gate-1") -> String {
        let event = CloudEvent(GatewayEvent(occurrence, at: time), id: "e1", host: host)
        return String(decoding: event.content, as: UTF8.self)
    }

    private func message(scope: IdempotencyScope?) -> MessageReference {
        MessageReference(
            caller: "orders", skill: "weather", region: .europe, requestID: "a\"b", scope: scope, answered: time)
    }

    @Test func `an event is one of CloudEvents 1_0`() {
        #expect(
            text(.userGone(userID: "amzn1.ask.account.A/b", skill: "weather", caller: "orders"))
                == #"{"data":{"caller":"orders","skill":"weather","userId":"amzn1.ask.account.A/b"},"#
                + #""datacontenttype":"application/json","id":"e1","source":"/skillgate/gate-1","specversion":"1.0","#
                + #""subject":"skills/weather","time":"2026-11-24T05:13:12.005Z","type":"skillgate.user-gone"}"#)
    }

    @Test func `each type says what it is about`() {
        let cases: [(GatewayEvent.Occurrence, type: String, subject: String, data: String)] = [
            (
                .outcomeUnknown(
                    message(scope: IdempotencyScope(words: (0, 0, 0, 0xAB))), problem: .outcomeUnknownTimeout),
                "outcome-unknown", "skills/weather",
                #"{"answeredAt":"2026-11-24T05:13:12.005Z","caller":"orders","problem":"outcome-unknown-timeout","record":"00000000000000000000000000000000000000000000000000000000000000ab","#
                    + #""region":"EU","requestId":"a\"b","skill":"weather"}"#
            ),
            (
                .receiptOverdue(message(scope: nil), standsFor: 2), "receipt-overdue", "skills/weather",
                #"{"answeredAt":"2026-11-24T05:13:12.005Z","caller":"orders","region":"EU","requestId":"a\"b","#
                    + #""skill":"weather","standsFor":2}"#
            ),
            (
                .tokenFailing(skill: "weather", TokenFetchFailure(.invalidClient, "status 401"), tokenExpires: nil),
                "token-failing", "skills/weather",
                #"{"detail":"status 401","reason":"invalid_client","skill":"weather"}"#
            ),
            (
                .tokenFailing(skill: "weather", TokenFetchFailure(.timeout, "late"), tokenExpires: time),
                "token-failing", "skills/weather",
                #"{"detail":"late","reason":"timeout","skill":"weather","tokenExpiresAt":"2026-11-24T05:13:12.005Z"}"#
            ),
            (.tokenRecovered(skill: "weather"), "token-recovered", "skills/weather", #"{"skill":"weather"}"#),
            (.circuitOpened(.farEast), "circuit-opened", "regions/FE", #"{"region":"FE"}"#),
            (.circuitClosed(.farEast), "circuit-closed", "regions/FE", #"{"region":"FE"}"#),
        ]
        for (occurrence, type, subject, data) in cases {
            let text = text(occurrence)
            #expect(text.hasPrefix(#"{"data":\#(data),"datacontenttype""#), "\(text)")
            #expect(text.contains(#""subject":"\#(subject)""#) && text.hasSuffix(#""type":"skillgate.\#(type)"}"#))
        }
    }

    @Test(arguments: [("", "/skillgate/unknown"), ("a b/c", "/skillgate/a%20b%2Fc")])
    func `the source is a URI reference whatever the host is called`(host: String, source: String) {
        #expect(text(.circuitOpened(.europe), host: host).contains(#""source":"\#(source)""#))
    }
}
