import NIOCore
import Testing

@testable import GatewayRedis

@Suite struct RedisPipelineTests {
    /// What each command was told, in the order of telling.
    private final class Told {
        var results: [String: Result<RESPValue, RedisFailure>] = [:]

        subscript(name: String) -> RedisFailure? {
            if case .failure(let failure) = results[name] { failure } else { nil }
        }
    }

    private let told = Told()
    private let ok = RESPValue.string(ByteBuffer(string: "OK"))

    private func at(_ milliseconds: Int64) -> NIODeadline {
        .uptimeNanoseconds(0) + .seconds(10) + .milliseconds(milliseconds)
    }

    private func ask(_ name: String, _ kind: RedisPipeline.Kind, _ pipeline: inout RedisPipeline, at time: Int64 = 0) {
        pipeline.append(kind, { [told] in told.results[name] = $0 }, now: at(time))
    }

    private func receive(
        _ reply: RESPValue, _ pipeline: inout RedisPipeline, at time: Int64 = 0, isForgotten: Bool = false
    ) {
        switch pipeline.received(reply, now: at(time), isForgotten: { _ in isForgotten }) {
        case .outcome(let outcome): outcome.tell()
        case .outcomes(let outcomes), .epoch(_, let outcomes): for outcome in outcomes { outcome.tell() }
        case .nothing, .handshake, .unexpected: break
        }
    }

    private func expire(_ pipeline: inout RedisPipeline, at time: Int64) -> Bool {
        let (outcomes, isStalled) = pipeline.expire(now: at(time))
        for outcome in outcomes { outcome.tell() }
        return isStalled
    }

    @Test func `a late reply is dropped, and those behind it find their commands`() {
        var pipeline = RedisPipeline(timeout: .milliseconds(100))
        ask("late", .single, &pipeline)
        ask("next", .single, &pipeline, at: 50)
        #expect(pipeline.nextDeadline == at(100))
        #expect(!expire(&pipeline, at: 99) && told.results.isEmpty)
        #expect(!expire(&pipeline, at: 100))
        #expect(told["late"] == .undecided && pipeline.nextDeadline == at(150))
        receive(.integer(1), &pipeline, at: 120)
        receive(.integer(2), &pipeline, at: 121)
        #expect(told["late"] == .undecided)
        #expect(told.results["next"] == .success(.integer(2)))
        #expect(pipeline.nextDeadline == nil && pipeline.count == 0)
    }

    @Test func `nothing at all for twice as long is a dead connection`() {
        var pipeline = RedisPipeline(timeout: .milliseconds(100))
        ask("one", .single, &pipeline)
        ask("two", .single, &pipeline, at: 90)
        #expect(!expire(&pipeline, at: 199))
        #expect(expire(&pipeline, at: 200))
        // Whatever comes shows that it lives.
        receive(.integer(1), &pipeline, at: 201)
        #expect(!expire(&pipeline, at: 400))
        #expect(expire(&pipeline, at: 401))
    }

    @Test func `a connection that was idle for long is not dead when something is asked`() {
        var pipeline = RedisPipeline(timeout: .milliseconds(100))
        ask("one", .single, &pipeline)
        receive(.integer(1), &pipeline)
        ask("two", .single, &pipeline, at: 100_000)
        #expect(!expire(&pipeline, at: 100_199))
    }

    @Test(arguments: [(2, nil), (1, RedisFailure.notReplicated), (0, .notReplicated)])
    func `a write counts once enough replicas have it`(confirmations: Int, failure: RedisFailure?) {
        var pipeline = RedisPipeline(timeout: .milliseconds(100))
        ask("write", .confirmed(isClaim: true), &pipeline)
        ask("refused", .confirmed(isClaim: true), &pipeline)
        ask("read", .single, &pipeline)
        pipeline.append(.wait(replicas: 2), now: at(0))
        #expect(pipeline.isWaiting)
        receive(ok, &pipeline)
        receive(.error("ERR"), &pipeline)
        receive(.integer(7), &pipeline)
        #expect(told.results.keys.sorted() == ["read"])
        receive(.integer(confirmations), &pipeline)
        #expect(told["write"] == failure && told.results["write"] != nil)
        #expect(told.results["refused"] == .success(.error("ERR")))
        #expect(!pipeline.isWaiting)
    }

    @Test func `what a store that has lost its records does not find may have been there`() {
        var pipeline = RedisPipeline(timeout: .milliseconds(100))
        for batch in ["lost", "kept"] {
            ask("new \(batch)", .confirmed(isClaim: true), &pipeline)
            ask("found \(batch)", .confirmed(isClaim: true), &pipeline)
            ask("settled \(batch)", .confirmed(isClaim: false), &pipeline)
            pipeline.append(.epoch(isLast: batch == "lost"), now: at(0))
            if batch == "kept" { pipeline.append(.wait(replicas: 0), now: at(0)) }
            for reply in [.null, ok, .null] { receive(reply, &pipeline) }
            receive(.null, &pipeline, isForgotten: batch == "lost")
            if batch == "kept" { receive(.integer(0), &pipeline) }
        }
        #expect(told["new lost"] == .forgotten)
        #expect(told.results["found lost"] == .success(ok) && told.results["settled lost"] == .success(.null))
        #expect(told.results["new kept"] == .success(.null))
    }

    @Test func `at its end, what was written is undecided, and what was not is not sent`() {
        var pipeline = RedisPipeline(timeout: .milliseconds(100))
        ask("confirmed", .confirmed(isClaim: true), &pipeline)
        ask("written", .single, &pipeline)
        pipeline.sent()
        receive(ok, &pipeline)
        ask("unwritten", .single, &pipeline)
        let (outcomes, leftUndecided) = pipeline.end()
        for outcome in outcomes { outcome.tell() }
        #expect(told["confirmed"] == .notReplicated && told["written"] == .undecided && told["unwritten"] == .notSent)
        #expect(leftUndecided)
        ask("alone", .single, &pipeline)
        #expect(!pipeline.end().leftUndecided)
    }
}
