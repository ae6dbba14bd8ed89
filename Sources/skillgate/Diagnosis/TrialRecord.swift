import GatewayCore
import GatewayRedis
import NIOCore

/// Makes a record and takes it away again, as a message would: whether a store answers says little of whether it can be used.
struct TrialRecord: Sendable {
    private let server: NIOLoopBound<RedisClient>
    private let eventLoop: any EventLoop

    init(_ server: NIOLoopBound<RedisClient>, on eventLoop: any EventLoop) {
        self.server = server
        self.eventLoop = eventLoop
    }

    /// What keeps messages under new keys from being sent; nil if nothing does.
    ///
    /// - Parameter refusal: what the server said last to a command that it refused.
    func run(refusal: @escaping @Sendable () -> String?) async -> String? {
        func random() -> UInt64 { .random(in: .min ... .max) }
        let claim = IdempotencyClaim(
            scope: IdempotencyScope(words: (random(), random(), random(), random())),
            fingerprint: RequestFingerprint(words: (random(), random())),
            owner: AttemptID(origin: random(), number: 1), lease: .seconds(1), retention: .seconds(60), consent: false)
        let promise = eventLoop.makePromise(of: String?.self)
        eventLoop.execute {
            server.value.claim(claim) { result in
                if case .failure(let failure) = result { return promise.succeed(text(failure, refusal())) }
                server.value.settle(claim, .released) { result in
                    if case .failure(let failure) = result { return promise.succeed(text(failure, refusal())) }
                    promise.succeed(nil)
                }
            }
        }
        return (try? await promise.futureResult.get()) ?? nil
    }

    private func text(_ failure: IdempotencyRecordError, _ refusal: String?) -> String {
        switch failure {
        case .full: "it has no room for another record (`maxmemory`)"
        case .notReplicated: "fewer replicas confirm a record than `waitReplicas` requires"
        case .forgotten:
            "it has lost records or was never adopted (`onStoreWiped: hold`, `skillgate records adopt`)"
        case .undecided: "it did not respond in time"
        case .notDone: refusal ?? "it refuses the commands that a record needs"
        }
    }
}
