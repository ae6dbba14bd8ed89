import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayCore

/// A caller that knows what became of its message says so.
@Suite struct IdempotencyKeySettlementTests {
    private static let accepted = #"{"state":"accepted"}"#

    private func settle(
        _ bed: FlowBed, _ key: String = "k", _ content: String = accepted, fields: String = ""
    ) -> Recipient {
        bed.request("PUT", "/v1/idempotency-keys/\(key)", "Authorization: Bearer key\r\n\(fields)", content)
    }

    private func status(_ recipient: Recipient) -> KeyStatus? {
        guard case .report(let status) = recipient.answers.first?.content else { return nil }
        return status
    }

    @Test func `an outcome that was unknown is accepted by the caller's word, and its duplicates get that`() throws {
        let bed = try FlowBed()
        _ = bed.send()
        bed.pool.fail(.connectionLost)
        #expect(bed.send().problem == .outcomeUnknownEarlier)
        bed.loop.advanceTime(by: .hours(1))
        let settled = settle(bed)
        let answer = AcceptedResponse(status: 202, region: nil, requestID: nil)
        #expect(status(settled)?.state == .accepted(answer))
        let retry = bed.send()
        #expect(retry.status == 202 && retry.isReplay == true && retry.answers.first?.region == nil)
        #expect(retry.answers.first?.witness == .caller, "it is not Amazon's answer")
        #expect(bed.send(fields: "Idempotency-Resend: ?1\r\n").isReplay == true)
        #expect(bed.send(content: #"{"data":{"a":"c"}}"#).problem == .idempotencyKeyReused)
        // Said again it is no mistake, and the record lives no longer for it.
        let (first, again) = (status(settled)?.times, status(settle(bed))?.times)
        #expect(first != nil && again == first)
        bed.loop.advanceTime(by: .hours(23))
        #expect(bed.send().answers.isEmpty, "it was forgotten when it would have been")
        #expect(bed.pool.requests.count == 2)
    }

    @Test func `an attempt whose lease has ended is as unknown as any`() throws {
        let bed = try FlowBed()
        _ = bed.send()
        #expect(settle(bed).problem == .idempotencyKeyInUse)
        bed.loop.advanceTime(by: .seconds(60))
        #expect(status(settle(bed)) != nil)
        // The attempt ends after all, and says the same or nothing.
        bed.pool.fail(.timeout)
        #expect(bed.send().isReplay == true && bed.pool.requests.count == 1)
    }

    @Test func `what Amazon accepted stays as it was answered`() throws {
        let bed = try FlowBed()
        _ = bed.send()
        bed.pool.answer(202, requestID: "r-1")
        #expect(
            status(settle(bed))?.state
                == .accepted(AcceptedResponse(status: 202, region: .europe, requestID: .text("r-1"))))
    }

    @Test func `what is not known cannot be settled`() throws {
        let bed = try FlowBed()
        #expect(settle(bed).problem == .notFound)
        _ = bed.send()
        bed.pool.answer(500)
        #expect(settle(bed).problem == .notFound, "it was refused, and its key is free")
        #expect(bed.records == .init())
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"state":"unknown"}"#, #"{"state":true}"#, #"{"state":"accepted","state":"accepted"}"#,
        "nonsense",
    ])
    func `nothing but acceptance can be said`(content: String) throws {
        let bed = try FlowBed()
        _ = bed.send()
        bed.pool.fail(.timeout)
        #expect(settle(bed, "k", content).problem == .messageInvalid)
        #expect(bed.records.unknown == 1)
    }

    @Test func `only the key's own caller settles it`() throws {
        let bed = try FlowBed()
        _ = bed.send()
        bed.pool.fail(.timeout)
        let path = "/v1/idempotency-keys/k"
        #expect(
            bed.request("PUT", path, "Authorization: Bearer nobody\r\n", Self.accepted).problem == .notAuthenticated)
        #expect(bed.request("POST", path, "Authorization: Bearer key\r\n", Self.accepted).problem == .methodNotAllowed)
        #expect(settle(bed, fields: "Gateway-Region: XX\r\n").problem == .fieldInvalid)
        #expect(settle(bed, fields: "Gateway-Skill: other\r\n").problem == .notAllowed)
        #expect(settle(bed, fields: "Gateway-Validate-Only: ?1\r\n").problem == .fieldInvalid)
        #expect(bed.records.unknown == 1)
    }

    @Test func `a key that is the content settles for its window, and no longer`() throws {
        let bed = try FlowBed { configuration in
            configuration.callers = CallerDirectory([
                CallerDirectory.Entry(
                    Caller(
                        index: 0, name: "orders", skills: [0],
                        keySources: IdempotencyKeySources([.content], contentWindow: .seconds(300))),
                    keys: [APIKeyDigest(of: "key")])
            ])
        }
        let first = bed.send(key: nil)
        bed.pool.fail(.timeout)
        let key = try #require(first.answers.first?.toldKey)
        bed.loop.advanceTime(by: .seconds(200))
        let settled = settle(bed, String(buffer: key.characters))
        let times = try #require(status(settled)?.times)
        #expect(times.created.map { $0 + .seconds(300) } == times.expires)
        #expect(bed.send(key: nil).isReplay == true)
        bed.loop.advanceTime(by: .seconds(100))
        #expect(bed.send(key: nil).answers.isEmpty, "after its window an equal message is another one")
    }
}
