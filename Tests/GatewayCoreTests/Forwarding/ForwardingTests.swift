import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayCore

@Suite struct ForwardingTests {
    @Test func `what the upstream gets is built from typed values alone`() throws {
        let bed = try FlowBed()
        let message = bed.send(fields: "X-Evil: 1\r\nGateway-Region: FE\r\n")
        #expect(
            bed.pool.requests == [
                """
                POST /v1/skillmessages/users/u%3Av HTTP/1.1\r
                Host: api.fe.amazonalexa.com\r
                User-Agent: test\r
                Accept: application/json\r
                Content-Type: application/json\r
                Authorization: Bearer Atc|1\r
                Content-Length: 18\r
                \r
                {"data":{"a":"b"}}
                """
            ])
        #expect(message.answers.isEmpty)
        bed.pool.answer(202)
        #expect(message.status == 202)
        #expect(bed.forwarder.instruments.messagesInFlight == 0)
    }

    @Test(
        arguments: [
            (202, "accepted", 202), (200, "accepted", 200), (400, "absent", 400), (404, "absent", 404),
            (429, "absent", 429),
            (500, "absent", 500), (503, "absent", 503), (302, "absent", 302), (502, "unknown", 504),
            (504, "unknown", 504),
            (520, "unknown", 504),
        ] as [(Int, String, Int)])
    func `each answer of Amazon's does to the record what the specification says`(
        status: Int, record: String, answered: Int
    ) throws {
        let bed = try FlowBed()
        let message = bed.send()
        #expect(bed.records.sending == 1)
        bed.pool.answer(status)
        #expect(message.status == answered)
        #expect(bed.records.sending == 0)
        #expect(bed.records.accepted == (record == "accepted" ? 1 : 0))
        #expect(bed.records.unknown == (record == "unknown" ? 1 : 0))
        let retry = bed.send()
        switch record {
        case "accepted": #expect(retry.status == status && retry.isReplay == true)
        case "unknown": #expect(retry.problem == .outcomeUnknownEarlier && retry.isReplay == true)
        default: #expect(retry.answers.isEmpty)
        }
        #expect(bed.pool.requests.count == (record == "absent" ? 2 : 1))
    }

    @Test func `a duplicate of an accepted message needs neither token nor connection`() throws {
        let bed = try FlowBed()
        _ = bed.send()
        bed.pool.answer(202)
        bed.endpoint.goDown()
        bed.pool.unavailable = [.connectionRefused]
        bed.loop.advanceTime(by: .seconds(7200))
        let duplicate = bed.send()
        #expect(duplicate.status == 202 && duplicate.isReplay == true)
        #expect(bed.pool.unavailable.count == 1, "no connection was asked for")
        #expect(bed.forwarder.instruments.idempotencyClaims[.memory, .accepted] == 1)
        // Other content under the key is refused as ever, and a record that has expired is no answer.
        #expect(bed.send(content: #"{"data":{}}"#).problem == .tokenUnavailable)
        bed.loop.advanceTime(by: .hours(24))
        #expect(bed.send().problem == .tokenUnavailable)
    }

    @Test func `strict, a 500 leaves the outcome unknown`() throws {
        let bed = try FlowBed { $0.strict5xx = true }
        let message = bed.send()
        bed.pool.answer(500)
        #expect(message.status == 504)
        #expect(bed.records.unknown == 1)
    }

    @Test(arguments: [.timeout, .connectionLost, .malformedAnswer("x")] as [UpstreamFailure])
    func `a failure after the write leaves the outcome unknown`(failure: UpstreamFailure) throws {
        let bed = try FlowBed()
        let message = bed.send()
        bed.pool.fail(failure)
        #expect(message.status == 504)
        #expect(bed.records.unknown == 1)
        #expect(bed.send().status == 504)
        let consenting = bed.send(fields: "Idempotency-Resend: ?1\r\n")
        bed.pool.answer(202)
        #expect(consenting.status == 202)
        #expect(bed.send().isReplay == true)
    }

    @Test(
        arguments: [
            .notResolved, .connectionRefused, .connectTimeout, .tlsFailed("x"), .connectionLost, .noFreeConnection,
        ] as [UpstreamUnavailable])
    func `what fails before the claim leaves no record`(reason: UpstreamUnavailable) throws {
        let bed = try FlowBed()
        bed.pool.unavailable = [reason]
        let message = bed.send()
        #expect(message.status == (reason == .noFreeConnection ? 503 : 502))
        #expect(bed.records == .init())
        #expect(bed.pool.requests.isEmpty)
    }

    @Test func `a connection that is dead before the write is replaced, and one that cannot be frees the record`()
        throws
    {
        let bed = try FlowBed()
        bed.pool.deadConnections = 1
        let message = bed.send()
        bed.pool.answer(202)
        #expect(message.status == 202)
        #expect(bed.pool.requests.count == 1)
        bed.pool.deadConnections = 1
        let other = bed.send(key: "other")
        #expect(bed.pool.requests.count == 2)
        bed.pool.answer(400)
        #expect(other.status == 400)
        #expect(bed.records == .init(accepted: 1))
    }

    @Test func `a process that was paused between claim and write does not send`() throws {
        let bed = try FlowBed()
        bed.store.delayReplies(by: .milliseconds(1001))
        let message = bed.send()
        bed.store.delayReplies(by: nil)
        bed.loop.advanceTime(by: .milliseconds(1001))
        #expect(message.problem == .sendBudgetExceeded)
        #expect(bed.pool.requests.isEmpty)
        #expect(bed.pool.leased == 0)
        #expect(bed.records == .init())
    }

    @Test func `a store that answers later is waited for before the write and before the answer`() throws {
        let bed = try FlowBed()
        bed.store.delayReplies(by: .milliseconds(5))
        let message = bed.send()
        #expect(bed.pool.requests.isEmpty)
        bed.loop.advanceTime(by: .milliseconds(5))
        #expect(bed.pool.requests.count == 1)
        bed.pool.answer(202)
        #expect(message.answers.isEmpty)
        bed.loop.advanceTime(by: .milliseconds(5))
        #expect(message.status == 202)
    }

    @Test func `a 403 is healed by a new token, once`() throws {
        let bed = try FlowBed()
        let message = bed.send()
        bed.pool.answer(403)
        #expect(bed.endpoint.grants == 2)
        #expect(bed.pool.requests.count == 2)
        #expect(bed.pool.requests.last?.contains("Bearer Atc|2\r\n") == true)
        #expect(bed.records.sending == 1)
        bed.pool.answer(202)
        #expect(message.status == 202)
    }

    @Test func `a second 403 goes to the caller, and the next costs no fetch`() throws {
        let bed = try FlowBed()
        let message = bed.send()
        bed.pool.answer(403)
        bed.pool.answer(403)
        #expect(message.status == 403)
        #expect(bed.records == .init())
        let next = bed.send()
        bed.pool.answer(403)
        #expect(next.status == 403)
        #expect(bed.endpoint.grants == 2)
    }

    @Test func `a 403 that cannot be healed is passed on, and the record is free`() throws {
        let bed = try FlowBed()
        let one = bed.send(key: "one")
        bed.endpoint.goDown()
        bed.pool.answer(403)
        #expect(one.status == 403)
        #expect(bed.records == .init())
    }

    @Test func `a 403 whose resend finds no connection is passed on`() throws {
        let bed = try FlowBed()
        let message = bed.send()
        bed.pool.unavailable = [.connectionRefused]
        bed.pool.answer(403)
        #expect(message.status == 403)
        #expect(bed.records == .init())
    }

    @Test func `duplicates in flight get the answer of the first, a refusal too`() throws {
        for status in [202, 429] {
            let bed = try FlowBed()
            let first = bed.send()
            let others = (0..<10).map { _ in bed.send() }
            #expect(bed.pool.leased == 0)
            bed.pool.answer(status)
            bed.loop.run()
            #expect(first.status == status && first.isReplay == false)
            for other in others { #expect(other.status == status && other.isReplay == true) }
            #expect(bed.pool.requests.count == 1)
        }
    }

    @Test func `a duplicate waits no longer than its own deadline`() throws {
        let bed = try FlowBed()
        let first = bed.send()
        let other = bed.send()
        bed.loop.advanceTime(by: .seconds(10))
        #expect(other.problem == .idempotencyKeyInUse)
        bed.pool.answer(202)
        bed.loop.run()
        #expect(first.status == 202)
        #expect(other.answers.count == 1)
    }

    @Test func `an accepted message is replayed even while nothing can be sent`() throws {
        let bed = try FlowBed()
        _ = bed.send()
        bed.pool.answer(202, requestID: "first")
        bed.pool.unavailable = [.connectionRefused, .connectionRefused]
        let retry = bed.send()
        #expect(retry.status == 202 && retry.isReplay == true)
        #expect(bed.send(content: #"{"data":{}}"#).status == 502)
    }

    @Test func `a duplicate of a message in flight needs no connection to wait for it`() throws {
        let bed = try FlowBed()
        let first = bed.send()
        bed.pool.unavailable = [.noFreeConnection, .noFreeConnection]
        let other = bed.send()
        #expect(other.answers.isEmpty)
        bed.pool.answer(202)
        bed.loop.run()
        #expect(first.status == 202 && other.status == 202 && other.isReplay == true)
        #expect(bed.send(content: #"{"data":{}}"#).problem == .tooManyInFlight)
    }

    @Test func `a duplicate that waited for want of a token claims nothing without one`() throws {
        let bed = try FlowBed { $0.limits.deadline = .seconds(60) }
        bed.endpoint.grant(forSeconds: 60)
        bed.loop.advanceTime(by: .seconds(3600))
        let first = bed.send()
        bed.endpoint.goDown()
        bed.loop.advanceTime(by: .seconds(31))
        let pool = NIOLoopBound(bed.pool, eventLoop: bed.loop)
        bed.store.endNextAttempt { pool.value.answer(500) }
        let other = bed.send()
        #expect(first.status == 500)
        #expect(other.problem == .tokenUnavailable)
        #expect(bed.records == .init())
        #expect(bed.forwarder.instruments.messagesInFlight == 0)
    }

    @Test func `without a token nothing is claimed, and it is told when to try again`() throws {
        let bed = try FlowBed()
        bed.endpoint.goDown()
        bed.loop.advanceTime(by: .seconds(3600))
        let message = bed.send()
        #expect(message.problem == .tokenUnavailable)
        #expect(bed.records == .init())
    }

    @Test func `a process held up for longer than a lease does not send once more`() throws {
        let bed = try FlowBed()
        let message = bed.send()
        bed.pool.leasesLater = true
        bed.pool.answer(403)
        bed.loop.advanceTime(by: .seconds(60))
        bed.pool.giveLease()
        #expect(bed.pool.requests.count == 1)
        #expect(message.status == 403)
        #expect(bed.pool.leased == 0)
        #expect(bed.records == .init())
    }

    @Test func `a user whom the first region does not know may live where nobody can be asked`() throws {
        let bed = try FlowBed { $0.discovery = .probe }
        let message = bed.send()
        bed.pool.unavailable = [.connectionRefused]
        bed.pool.answer(404)
        #expect(message.problem == .upstreamConnectionRefused && bed.records == .init())
        guard case .refusal(let refusal) = message.answers.first?.content else { return }
        #expect(refusal.detail.hasPrefix("EU does not know the user, and NA cannot be asked: "), "\(refusal.detail)")
        // A 403 is passed on as that of the region that gave it.
        let other = bed.send(key: "other")
        bed.pool.leasesLater = true
        bed.pool.answer(403)
        bed.loop.advanceTime(by: .seconds(60))
        bed.pool.giveLease()
        #expect(other.status == 403 && other.answers.first?.region == .europe)
    }

    @Test func `a caller learns what became of its key`() throws {
        let bed = try FlowBed()
        func state(_ path: String) -> KeyReport.State? {
            guard case .report(let status) = bed.inquire(path).answers.first?.content else { return nil }
            return status.state
        }
        #expect(state("k") == .absent)
        _ = bed.send()
        guard case .inFlight = state("k") else {
            Issue.record("not in flight")
            return
        }
        bed.pool.answer(202, requestID: "r-1")
        #expect(state("%6B") == .accepted(.init(status: 202, region: .europe, requestID: .text("r-1"))))
        _ = bed.send(key: "other")
        bed.pool.fail(.timeout)
        #expect(state("other") == .unknown)
        #expect(bed.inquire("").problem == .idempotencyKeyInvalid)
        #expect(bed.inquire("%zz").problem == .idempotencyKeyInvalid)
        #expect(bed.inquire("k", method: "POST").problem == .methodNotAllowed)
        #expect(bed.inquire("k", authorization: "Bearer wrong").problem == .notAuthenticated)
        #expect(bed.forwarder.instruments.messages.values.reduce(0, +) == 2)
    }

    @Test func `messages without a key are sent each time`() throws {
        let bed = try FlowBed()
        for _ in 0..<3 {
            let message = bed.send(key: nil)
            bed.pool.answer(202)
            #expect(message.status == 202 && message.isReplay == false)
        }
        #expect(bed.pool.requests.count == 3)
        #expect(bed.records == .init())
    }

    // MARK: Discovery

    @Test(
        arguments: [
            (nil, nil, false), (nil, .probe, true), (.probe, nil, true), (.off, .probe, false), (.probe, .off, true),
        ] as [(RegionDiscovery?, RegionDiscovery?, Bool)])
    func `the caller says whether regions are tried, else the skill, else the configuration`(
        caller: RegionDiscovery?, skill: RegionDiscovery?, isTried: Bool
    ) throws {
        let bed = try FlowBed { configuration in
            let weather = configuration.skills[0]
            configuration.skills = [
                Skill(index: 0, name: "weather", defaultRegion: nil, discovery: skill, tokens: weather.tokens)
            ]
            configuration.callers = CallerDirectory([
                CallerDirectory.Entry(
                    Caller(index: 0, name: "orders", skills: [0], discovery: caller), keys: [APIKeyDigest(of: "key")])
            ])
        }
        let message = bed.send()
        guard isTried else {
            #expect(message.problem == .regionUnknown)
            return
        }
        for _ in 0..<2 { bed.pool.answer(404) }
        bed.pool.answer(202)
        #expect(message.status == 202 && bed.pool.requests.count == 3)
    }

    // MARK: Gateway-Timeout

    @Test(arguments: [
        ("2.5", 2_500), ("1", 1_000), ("0.15", 150), ("0.001", 100), ("60", 10_000), ("999999999.999", 10_000),
    ])
    func `a caller may wait less long than the configuration says, and not longer`(value: String, milliseconds: Int64)
        throws
    {
        let bed = try FlowBed()
        bed.pool.leasesLater = true
        let first = bed.send(fields: "Gateway-Timeout: \(value)\r\n")
        // It gets a connection when it is too late, or just in time.
        bed.loop.advanceTime(by: .milliseconds(milliseconds))
        bed.pool.giveLease()
        #expect(first.status == 503 && bed.pool.requests.isEmpty)
        #expect(bed.records.accepted == 0)
        let second = bed.send(key: "k2", fields: "Gateway-Timeout: \(value)\r\n")
        bed.loop.advanceTime(by: .milliseconds(milliseconds) - .nanoseconds(1))
        bed.pool.giveLease()
        #expect(second.answers.isEmpty && bed.pool.requests.count == 1)
    }

    @Test func `a duplicate waits for the first no longer than its caller does`() throws {
        let bed = try FlowBed()
        let first = bed.send()
        let duplicate = bed.send(fields: "Gateway-Timeout: 0.2\r\n")
        bed.loop.advanceTime(by: .milliseconds(199))
        #expect(duplicate.answers.isEmpty)
        bed.loop.advanceTime(by: .milliseconds(1))
        #expect(duplicate.problem == .idempotencyKeyInUse)
        bed.pool.answer(202)
        #expect(first.status == 202 && bed.send().isReplay == true)
    }

    @Test func `what is answered after the caller has gone is known to its retry, and counts as in flight until then`()
        throws
    {
        let bed = try FlowBed { configuration in
            configuration.callers = CallerDirectory([
                CallerDirectory.Entry(
                    Caller(index: 0, name: "orders", skills: [0], limits: CallerLimits(maximumInFlight: 1)),
                    keys: [APIKeyDigest(of: "key")])
            ])
        }
        let hurried = bed.send(fields: "Gateway-Timeout: 0.2\r\n")
        bed.loop.advanceTime(by: .milliseconds(200))
        bed.pool.giveUp()
        #expect(hurried.problem == .outcomeUnknownTimeout && bed.records.unknown == 1)
        #expect(bed.send(key: "k2").problem == .callerInFlight, "its connection is not free yet")
        bed.pool.end(late: UpstreamResponse(status: 202, requestID: .text("late")))
        let retry = bed.send()
        #expect(retry.status == 202 && retry.isReplay == true && hurried.answers.count == 1)
        // A refusal, and an answer that says nothing, leave the doubt.
        for (number, answer) in [UpstreamResponse(status: 404), UpstreamResponse(status: 502), nil].enumerated() {
            let key = "late-\(number)"
            #expect(bed.send(key: key, fields: "Gateway-Timeout: 0.2\r\n").answers.isEmpty)
            bed.pool.giveUp()
            bed.pool.end(late: answer)
            #expect(bed.send(key: key).problem == .outcomeUnknownEarlier)
        }
    }

    @Test func `the lease is as long as the caller's deadline, and a margin`() throws {
        let bed = try FlowBed()
        _ = bed.send(fields: "Gateway-Timeout: 0.5\r\n")
        bed.use { $0.concurrentDuplicates = .reject }
        #expect(bed.send().problem == .idempotencyKeyInUse)
        bed.loop.advanceTime(by: .milliseconds(1_500))
        #expect(bed.send().status == 504, "after its lease the outcome is in doubt")
    }

    @Test(arguments: ["", "0", "0.000", "-1", "1.", ".5", "1.2345", "1e3", "1,5", "2s", "1 2", "1234567890", "x"])
    func `a time that is none is refused`(value: String) throws {
        let bed = try FlowBed()
        #expect(bed.send(fields: "Gateway-Timeout: \(value)\r\n").problem == .fieldInvalid)
        #expect(bed.send(fields: "Gateway-Timeout: 1\r\nGateway-Timeout: 1\r\n").problem == .fieldInvalid)
        #expect(bed.pool.requests.isEmpty)
    }
}
