import NIOCore
import Testing

@testable import GatewayCore

@Suite struct TokenStateMachineTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let serverError = TokenFetchFailure(.unusableAnswer, "status 500")
    private let wrongSecret = TokenFetchFailure(.invalidClient, "status 401")

    private func at(_ seconds: Double) -> NIODeadline { Self.start + .milliseconds(Int(seconds * 1000)) }

    private func grant(_ lifetime: Int? = 3600) -> TokenGrant { TokenGrant(token: "Atc|x", lifetimeSeconds: lifetime) }

    private func withToken(lifetime: Int? = 3600) -> TokenStateMachine {
        var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
        _ = machine.timeTriggered(now: at(0))
        _ = machine.fetchSucceeded(grant(lifetime), random: 0, now: at(1))
        return machine
    }

    private func generation(_ use: TokenStateMachine.Use) -> UInt64? {
        if case .token(let token) = use { token.generation } else { nil }
    }

    @Test func `the first message waits for the first fetch, and there is one`() {
        var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
        #expect(!machine.hasHadToken)
        #expect(machine.use(now: at(0)) == .wait)
        #expect(machine.timeTriggered(now: at(0)) == .fetch(.current))
        #expect(machine.timeTriggered(now: at(0)) == nil)
        #expect(machine.use(now: at(1)) == .wait)
    }

    @Test func `a token is renewed at 70 to 85 percent of its life and not used in its last minute`() {
        for (random, due) in [(0.0, 2520.0), (1.0, 3060.0)] {
            var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
            _ = machine.timeTriggered(now: at(0))
            _ = machine.fetchSucceeded(grant(), random: random, now: at(5))
            #expect(machine.expires == at(3540))
            #expect(machine.timeTriggered(now: at(due - 1)) == .waitUntil(at(due)))
            #expect(machine.timeTriggered(now: at(due)) == .fetch(.current))
            #expect(generation(machine.use(now: at(3539))) == 1)
            #expect(machine.use(now: at(3540)) == .wait)
        }
    }

    @Test func `renewal that fails leaves the valid token in use, and an expired one is never used`() {
        var machine = withToken()
        #expect(machine.timeTriggered(now: at(2520)) == .fetch(.current))
        guard case .deliver = machine.fetchFailed(serverError, random: 1, now: at(2521)) else {
            return #expect(Bool(false), "the token is still valid")
        }
        #expect(generation(machine.use(now: at(2522))) == 1)
        _ = machine.timeTriggered(now: at(3539))
        _ = machine.fetchFailed(serverError, random: 1, now: at(3540))
        guard case .unavailable(let reason) = machine.use(now: at(3540)) else {
            return #expect(Bool(false), "an expired token is not used")
        }
        #expect(reason.failure == serverError)
    }

    @Test func `failures back off from a second to half a minute, and to five for a wrong secret`() {
        for (failure, pauses) in [
            (serverError, [1.0, 2, 4, 8, 16, 30, 30]), (wrongSecret, [30, 60, 120, 240, 300, 300]),
        ] {
            var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
            var time = 0.0
            for pause in pauses {
                #expect(machine.timeTriggered(now: at(time)) == .fetch(.current))
                _ = machine.fetchFailed(failure, random: 1, now: at(time))
                #expect(machine.timeTriggered(now: at(time)) == .waitUntil(at(time + pause)))
                time += pause
            }
        }
    }

    @Test(arguments: [(nil, 3540), (3, 1.5), (28, 14), (60, 30), (100, 50), (Int.max, 86_340)] as [(Int?, Double)])
    func `a strange lifetime is survived`(lifetime: Int?, expires: Double) {
        var machine = withToken(lifetime: lifetime)
        #expect(machine.expires == at(expires))
        guard case .waitUntil(let due) = machine.timeTriggered(now: at(1)) else {
            return #expect(Bool(false), "renewal is planned")
        }
        // As short as that, it is renewed once a second at most.
        #expect(due < at(expires) || due == at(2))
    }

    @Test(arguments: [0, -5, 1, Int.min])
    func `a token that has expired when it comes is never used`(lifetime: Int) {
        var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
        _ = machine.timeTriggered(now: at(0))
        guard case .fail(let reason) = machine.fetchSucceeded(grant(lifetime), random: 1, now: at(1)) else {
            return #expect(Bool(false), "it is of no use")
        }
        #expect(reason.failure?.reason == .unusableAnswer)
        #expect(!machine.hasHadToken && machine.expires == nil)
        #expect(machine.timeTriggered(now: at(1)) == .waitUntil(at(2)))
    }

    @Test func `while there is no token, a message hurries the next fetch, once a second at most`() {
        var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
        var time = 0.0
        for _ in 0..<6 {
            _ = machine.timeTriggered(now: at(time))
            _ = machine.fetchFailed(serverError, random: 1, now: at(time))
            time += 30
        }
        // The next one is due in half a minute.
        time -= 30
        let early = machine.hurry(now: at(time + 0.9))
        #expect(!early)
        #expect(machine.timeTriggered(now: at(time + 1)) == .waitUntil(at(time + 30)))
        let isHurried = machine.hurry(now: at(time + 1))
        #expect(isHurried)
        let again = machine.hurry(now: at(time + 1))
        #expect(!again)
        #expect(machine.timeTriggered(now: at(time + 1)) == .fetch(.current))
        _ = machine.fetchSucceeded(grant(), random: 0, now: at(time + 1))
        #expect(generation(machine.use(now: at(time + 1))) == 1)
    }

    @Test func `a wrong secret is not hurried, and nobody waits for an endpoint that hangs`() {
        var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
        _ = machine.timeTriggered(now: at(0))
        _ = machine.fetchFailed(wrongSecret, random: 1, now: at(0))
        let isHurried = machine.hurry(now: at(10))
        #expect(!isHurried)
        machine = TokenStateMachine(hasNextSecret: false, now: at(0))
        _ = machine.timeTriggered(now: at(0))
        #expect(machine.use(now: at(1)) == .wait)
        _ = machine.fetchFailed(TokenFetchFailure(.timeout, "none"), random: 1, now: at(10))
        _ = machine.timeTriggered(now: at(11))
        guard case .unavailable = machine.use(now: at(12)) else { return #expect(Bool(false), "it would wait") }
    }

    @Test func `a wrong secret makes the other one tried at once, and the one that works is kept`() {
        var machine = TokenStateMachine(hasNextSecret: true, now: at(0))
        #expect(machine.timeTriggered(now: at(0)) == .fetch(.current))
        #expect(machine.fetchFailed(wrongSecret, random: 0, now: at(1)) == .fetchAgain)
        #expect(machine.secretToTryAgainWith(now: at(1)) == .next)
        _ = machine.fetchSucceeded(grant(), random: 0, now: at(2))
        #expect(machine.timeTriggered(now: at(2600)) == .fetch(.next))
        #expect(machine.fetchFailed(wrongSecret, random: 0, now: at(2601)) == .fetchAgain)
        #expect(machine.secretToTryAgainWith(now: at(2601)) == .current)
        guard case .deliver = machine.fetchFailed(wrongSecret, random: 0, now: at(2602)) else {
            return #expect(Bool(false), "both were tried, and the old token is valid")
        }
    }

    @Test func `however many messages report one refused token, one fetch follows`() {
        var machine = withToken()
        #expect(machine.refused(generation: 1, now: at(10)) == .wait)
        #expect(machine.timeTriggered(now: at(10)) == .fetch(.current))
        for _ in 0..<100 { #expect(machine.refused(generation: 1, now: at(11)) == .wait) }
        #expect(machine.timeTriggered(now: at(11)) == nil)
        #expect(machine.use(now: at(11)) == .wait)
        _ = machine.fetchSucceeded(grant(), random: 0, now: at(12))
        guard case .token(let token) = machine.refused(generation: 1, now: at(13)) else {
            return #expect(Bool(false), "the cache has moved on")
        }
        #expect(token.generation == 2)
    }

    @Test func `a second 403 suppresses forced fetches for half a minute`() {
        var machine = withToken()
        machine.refusedAgain(now: at(20))
        #expect(machine.refused(generation: 1, now: at(49)) == .none)
        #expect(generation(machine.use(now: at(49))) == 1)
        #expect(machine.refused(generation: 1, now: at(50)) == .wait)
    }

    @Test func `a refused token is used again if no newer one is to be had`() {
        var machine = withToken()
        _ = machine.refused(generation: 1, now: at(10))
        _ = machine.timeTriggered(now: at(10))
        guard case .deliver(let token) = machine.fetchFailed(serverError, random: 1, now: at(11)) else {
            return #expect(Bool(false), "an unproven suspicion stops nobody")
        }
        #expect(token.generation == 1)
        #expect(generation(machine.use(now: at(11.5))) == 1)
        #expect(machine.refused(generation: 1, now: at(11.5)) == .none)
    }

    @Test func `replaced secrets end the pause after failures at once`() {
        var machine = TokenStateMachine(hasNextSecret: false, now: at(0))
        _ = machine.timeTriggered(now: at(0))
        _ = machine.fetchFailed(wrongSecret, random: 1, now: at(1))
        #expect(machine.timeTriggered(now: at(2)) == .waitUntil(at(31)))
        machine.credentialsReplaced(hasNextSecret: false, now: at(2))
        #expect(machine.timeTriggered(now: at(2)) == .fetch(.current))
    }

    @Test func `replaced secrets fetch again, and the token at hand is used until then`() {
        var machine = withToken()
        machine.credentialsReplaced(hasNextSecret: true, now: at(10))
        #expect(machine.timeTriggered(now: at(10)) == .fetch(.current))
        #expect(generation(machine.use(now: at(10))) == 1)
        _ = machine.fetchSucceeded(grant(), random: 0, now: at(11))
        #expect(generation(machine.use(now: at(11))) == 2)
    }

    @Test func `a fetch under way with replaced secrets does not decide anything`() {
        var failing = TokenStateMachine(hasNextSecret: false, now: at(0))
        _ = failing.timeTriggered(now: at(0))
        failing.credentialsReplaced(hasNextSecret: true, now: at(1))
        #expect(failing.use(now: at(1)) == .wait)
        #expect(failing.timeTriggered(now: at(1)) == nil, "one fetch at a time")
        #expect(failing.fetchFailed(wrongSecret, random: 0, now: at(2)) == .fetchAgain)
        #expect(failing.secretToTryAgainWith(now: at(2)) == .current)
        #expect(failing.fetchFailed(wrongSecret, random: 0, now: at(3)) == .fetchAgain)
        #expect(failing.secretToTryAgainWith(now: at(3)) == .next)

        var succeeding = TokenStateMachine(hasNextSecret: false, now: at(0))
        _ = succeeding.timeTriggered(now: at(0))
        succeeding.credentialsReplaced(hasNextSecret: false, now: at(1))
        guard case .deliver = succeeding.fetchSucceeded(grant(), random: 0, now: at(2)) else {
            return #expect(Bool(false), "a token is a token")
        }
        #expect(succeeding.timeTriggered(now: at(2)) == .fetch(.current), "it may be refused before its time")
    }
}
