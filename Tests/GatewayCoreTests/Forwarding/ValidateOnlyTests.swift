import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayCore

/// `Gateway-Validate-Only: ?1`: all is said, and nothing is done.
struct ValidateOnlyTests {
    private static let field = "Gateway-Validate-Only: ?1\r\n"

    private func validation(_ recipient: Recipient) -> MessageValidation? {
        guard recipient.status == 200, case .validation(let validation) = recipient.answers.first?.content else {
            return nil
        }
        return validation
    }

    private func text(_ recipient: Recipient) -> String {
        var content = ByteBuffer()
        validation(recipient)?.writeJSON(to: &content)
        return String(buffer: content)
    }

    @Test func `what would become of a message is said, and nothing is asked for, claimed or sent`() throws {
        let bed = try FlowBed()
        let grants = bed.endpoint.grants
        #expect(
            text(bed.send(content: #"{"data": {"a": "b"}}"#, fields: Self.field))
                == #"{"valid":true,"skill":"weather","region":"EU","regionFrom":"guessed","dataBytes":9,"#
                + #""idempotencyKey":{"key":"k","from":"field","state":"absent"}}"#)
        #expect(
            text(bed.send(key: nil, fields: Self.field + "Gateway-Region: FE\r\n"))
                == #"{"valid":true,"skill":"weather","region":"FE","regionFrom":"stated","dataBytes":9}"#)
        #expect(bed.pool.requests.isEmpty && bed.endpoint.grants == grants)
        #expect(bed.records.sending == 0)
        #expect(bed.forwarder.instruments.messagesInFlight == 0)
    }

    @Test func `the state of the key is said, and whether it belongs to this message`() throws {
        let bed = try FlowBed()
        _ = bed.send()
        bed.pool.answer(202)
        let known = validation(bed.send(fields: Self.field))
        guard case .accepted = known?.key?.state else {
            Issue.record("\(String(describing: known))")
            return
        }
        #expect(known?.certainty == .learned)
        #expect(bed.send(content: #"{"data":{}}"#, fields: Self.field).problem == .idempotencyKeyReused)
        // Also later, as from a store behind a network.
        bed.store.delayReplies(by: .milliseconds(5))
        let late = bed.send(fields: Self.field)
        #expect(late.answers.isEmpty)
        bed.loop.advanceTime(by: .milliseconds(5))
        guard case .accepted = validation(late)?.key?.state else {
            Issue.record("\(String(describing: validation(late)))")
            return
        }
        #expect(bed.pool.requests.count == 1)
    }

    @Test(arguments: [
        (#"{"data":1}"#, Self.field, Problem.messageInvalid),
        (#"{"data":{}}"#, "Gateway-Validate-Only: 1\r\n", .fieldInvalid),
        (#"{"data":{}}"#, Self.field + Self.field, .fieldInvalid),
        (#"{"data":{}}"#, Self.field + "Gateway-Region: XX\r\n", .fieldInvalid),
    ])
    func `what is not valid is refused as if it were to be sent`(content: String, fields: String, problem: Problem)
        throws
    {
        let bed = try FlowBed()
        #expect(bed.send(content: content, fields: fields).problem == problem)
    }

    @Test func `a user who is known to be gone is refused, as if the message were to be sent`() throws {
        let bed = try FlowBed { $0.discovery = .probe }
        _ = bed.send(key: "gone")
        for _ in 0..<3 { bed.pool.answer(404) }
        #expect(bed.send(fields: Self.field).problem == .userGone)
        #expect(
            validation(bed.send(fields: Self.field + "Gateway-Region: FE\r\n")) != nil,
            "who states a region knows better")
        #expect(bed.pool.requests.count == 3)
    }

    @Test func `?0 sends`() throws {
        let bed = try FlowBed()
        #expect(bed.send(fields: "Gateway-Validate-Only: ?0\r\n").answers.isEmpty)
        #expect(bed.pool.requests.count == 1)
    }
}
