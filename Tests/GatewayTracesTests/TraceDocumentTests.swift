import Foundation
import NIOCore
import Testing

@testable import GatewayCore
@testable import GatewayTraces

/// What the whole of it looks like is in the golden files of the whole gateway.
@Suite struct TraceDocumentTests {
    private func text(_ traces: [RequestTrace]) -> String {
        let document = TraceDocument(
            resource: [("service.name", "a \"name\"")], version: "1", endpoints: ByRegion { APIEndpoint.official($0) })
        return String(decoding: document.content(of: traces), as: UTF8.self)
    }

    @Test func `a document is JSON, whatever is in it`() throws {
        for traces in [[], [RequestTrace.sample()], [.sample(1, caller: "a\\b\u{1}"), .sample(2)]] {
            let text = text(traces)
            let document = try #require(
                try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: [[String: Any]]])
            let scopes = document["resourceSpans"]?.first?["scopeSpans"] as? [[String: Any]]
            #expect((scopes?.first?["spans"] as? [Any])?.count == traces.count)
        }
    }

    @Test func `times are nanoseconds of the wall clock`() {
        let step = RequestTrace.Step(
            kind: .queue, spanID: 7, region: .europe, began: .nanoseconds(3), ended: .nanoseconds(4))
        let text = text([.sample(1, steps: [step])])
        #expect(text.contains(#""startTimeUnixNano":"1795497192000000005","endTimeUnixNano":"1795497192002000005""#))
        #expect(text.contains(#""startTimeUnixNano":"1795497192000000008","endTimeUnixNano":"1795497192000000009""#))
        #expect(text.contains(#""spanId":"0000000000000007","parentSpanId":"0000000000000001","flags":257"#))
    }

    @Test func `an attempt that failed says how, and its address is where it went`() {
        for (failure, name) in [
            (UpstreamFailure.timeout, "timeout"), (.malformedAnswer("x"), "malformed_response"),
            (.notProcessed, "not_processed"),
        ] {
            let attempt = RequestTrace.Attempt(resends: 1, reason: .throttled, failure: failure)
            let step = RequestTrace.Step(
                kind: .send(attempt), spanID: 7, region: .europe, began: .zero, ended: .zero)
            let text = text([.sample(1, steps: [step])])
            #expect(text.contains(#"{"key":"error.type","value":{"stringValue":"\#(name)"}}],"status":{"code":2}"#))
            #expect(text.contains(#""stringValue":"https://api.eu.amazonalexa.com/v1/skillmessages/users/REDACTED""#))
            #expect(text.contains(#"{"key":"http.request.resend_count","value":{"intValue":"1"}}"#))
        }
    }
}
