import GatewayCore
import NIOCore
import Testing

@testable import GatewayRedis

@Suite struct RecordValueTests {
    private static let fingerprint = RequestFingerprint(words: (0x0102_0304_0506_0708, .max))

    private func claim(consent: Bool = false, fingerprint: RequestFingerprint = fingerprint) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: IdempotencyScope(words: (1, 2, 3, .max)), fingerprint: fingerprint,
            owner: AttemptID(origin: 5, number: 6), lease: .seconds(15), retention: .seconds(60), consent: consent)
    }

    private func bytes(_ value: RecordValue) -> ByteBuffer {
        var buffer = ByteBuffer()
        value.write(to: &buffer)
        return buffer
    }

    @Test(
        arguments: [
            .sending(fingerprint, owner: AttemptID(origin: 1, number: .max), leaseEndsAtRemaining: 45_000),
            .sending(fingerprint, owner: AttemptID(origin: 0, number: 2), leaseEndsAtRemaining: 0, isResend: true),
            .unknown(fingerprint),
            .accepted(fingerprint, AcceptedResponse(status: 202, region: .farEast, requestID: .uuid(.max, 1))),
            .accepted(fingerprint, AcceptedResponse(status: 200, region: .northAmerica, requestID: .text("abc"))),
            .accepted(fingerprint, AcceptedResponse(status: 202, region: .europe, requestID: nil)),
            .accepted(
                fingerprint, AcceptedResponse(status: 202, region: .europe, requestID: .uuid(1, 2), receivedAt: .max)),
            .accepted(
                fingerprint, AcceptedResponse(status: 202, region: .farEast, requestID: .text("a"), receivedAt: 1)),
            .accepted(fingerprint, AcceptedResponse(provenAt: 1_795_497_192_345)),
        ] as [RecordValue])
    func `a record is read as it was written, and nothing shorter is one`(value: RecordValue) {
        let whole = bytes(value)
        #expect(RecordValue(whole) == value)
        for length in 0..<17 { #expect(RecordValue(whole.getSlice(at: 0, length: length) ?? whole) == nil) }
    }

    @Test(arguments: ["", "x", "hello world, this is no record at all", "s0123456789abcdef0123456789abcdefNaN"])
    func `what no gateway wrote is no record`(text: String) {
        #expect(RecordValue(ByteBuffer(string: text)) == nil)
        #expect(ClaimReading(.string(ByteBuffer(string: text)), to: claim()) == .unreadable)
    }

    @Test(arguments: [
        "2021tid\r\nX-Injected: 1", "0001tid", "4041tid", "2029tid", "2021t", "2021x", "2021u0123456789abcdefx",
        "2021t" + String(repeating: "x", count: 129), "2021t\u{e9}", "2021ta b", "20", "2021u0123",
    ])
    func `an accepted record that a stranger wrote is none`(text: String) {
        #expect(RecordValue(ByteBuffer(string: "a0123456789abcdef" + text)) == nil)
    }

    @Test func `nothing may stand behind an unknown outcome`() {
        #expect(RecordValue(ByteBuffer(string: "u0123456789abcdefx")) == nil)
    }

    @Test func `a first claim is one command, of the length it says`() throws {
        var buffer = ByteBuffer()
        RedisCommand.claim(claim()).write(to: &buffer, keys: RecordKeys(prefix: "skillgate"), withSource: false)
        guard case .array(let words) = try RESPParser.next(&buffer), words.count == 7 else {
            Issue.record("not seven words")
            return
        }
        #expect(words[0].text == "SET")
        #expect(words[1].text == "skillgate:AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAAD__________8")
        #expect(words[3...].map(\.text) == ["NX", "GET", "PX", "60000"])
        #expect(buffer.readableBytes == 0)
        guard case .string(let value) = words[2] else { return }
        #expect(RecordValue(value) == RecordValue(claim()))
    }

    @Test(arguments: [
        Settlement.accepted(.init(status: 202, region: .europe, requestID: .uuid(1, 2))), .unknown, .released,
    ])
    func `settlements, claims by script and reports are well-formed, with and without source`(settlement: Settlement)
        throws
    {
        let commands: [RedisCommand] = [
            .settle(claim(), settlement), .claimByScript(claim(consent: true)), .report(claim().scope),
            .plain(["A", ""]),
        ]
        for withSource in [false, true] {
            var buffer = ByteBuffer()
            for command in commands {
                command.write(to: &buffer, keys: RecordKeys(prefix: "p"), withSource: withSource)
            }
            for _ in commands {
                guard case .array = try RESPParser.next(&buffer) else {
                    Issue.record("not a command")
                    return
                }
            }
            #expect(buffer.readableBytes == 0)
        }
    }

    @Test func `the reply to a claim says who holds the record`() {
        let mine = RecordValue(claim())
        let foreign = RecordValue.sending(
            Self.fingerprint, owner: AttemptID(origin: 9, number: 9), leaseEndsAtRemaining: 45_000)
        func reading(_ value: RecordValue, remaining: Int? = nil, consent: Bool = false) -> ClaimReading {
            let string = RESPValue.string(bytes(value))
            return ClaimReading(
                remaining.map { .array([string, .integer($0)]) } ?? string, to: claim(consent: consent))
        }
        #expect(ClaimReading(.null, to: claim()) == .outcome(.owned))
        #expect(reading(mine) == .outcome(.owned))
        #expect(reading(foreign) == .askByScript)
        #expect(reading(foreign, remaining: 50_000) == .outcome(.inFlight(left: .seconds(5))))
        #expect(reading(foreign, remaining: 45_000) == .outcome(.unknown))
        #expect(reading(foreign, remaining: -1) == .outcome(.unknown))
        #expect(reading(.unknown(Self.fingerprint)) == .outcome(.unknown))
        #expect(reading(.unknown(Self.fingerprint), consent: true) == .askByScript)
        #expect(reading(.unknown(.init(words: (Self.fingerprint.words.0, 1)))) == .outcome(.mismatched))
        #expect(reading(.unknown(.init(words: (~Self.fingerprint.words.0, 1)))) == .outcome(.indistinct))
        #expect(ClaimReading(.integer(1), to: claim()) == .outcome(.owned))
        for reply in [RESPValue.integer(0), .boolean(true), .array([]), .error("ERR"), .push([])] {
            #expect(ClaimReading(reply, to: claim()) == .unreadable)
            #expect(KeyReport(reply) == nil)
        }
    }

    @Test func `the scope is found again in a record's key, and in no other`() throws {
        let keys = RecordKeys(prefix: "a*b:[c]")
        #expect(keys.pattern == #"a\*b:\[c\]:"# + String(repeating: "?", count: 43))
        for words in [(0, 0, 0, 0), (.max, 1, .max, 2), (0x0123_4567_89AB_CDEF, 3, 5, 0xFEDC_BA98_7654_3210)]
            as [(UInt64, UInt64, UInt64, UInt64)]
        {
            let scope = IdempotencyScope(words: words)
            let key = String(buffer: keys.recordKey(scope))
            #expect(keys.scope(ofRecordKey: key) == scope)
            for other in [key + "A", String(key.dropLast()), "b" + key.dropFirst(), key.dropLast() + "*", keys.epoch] {
                #expect(keys.scope(ofRecordKey: other) == nil, "\(other)")
            }
        }
    }
}
