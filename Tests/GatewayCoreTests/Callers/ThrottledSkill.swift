import NIOCore

@testable import GatewayCore

/// A skill of which Amazon takes so many messages in a second and no more, with replicas and callers, in virtual time.
struct ThrottledSkill {
    struct Outcomes: Equatable {
        var accepted = 0
        /// Amazon's 429s that came to the caller.
        var throttled = 0
        /// Refused by the gateway.
        var refused = 0
        var sentAgain = 0

        var all: Int { accepted + throttled + refused }
    }

    private struct Waiting {
        var caller: Int
        var replica: Int
        var verdict: QuotaState.Verdict
        var until: NIODeadline
        var pause = TimeAmount.milliseconds(100)
    }

    private final class Recent {
        private let count = RecentCount()

        func count(now: NIODeadline) { count.count(now: now) }
        func value(now: NIODeadline) -> Int { count.value(now: now) }
    }

    /// Messages of each caller in a second, evenly.
    var rates: [Int]
    var quota: Int
    /// While they cannot, replicas know of nobody but themselves.
    var canExchange = true
    /// Answered 429 however few they are.
    var isOfItself: (_ caller: Int, _ number: Int) -> Bool = { _, _ in false }
    private(set) var outcomes: [Outcomes]
    private(set) var states: [QuotaState?]
    private let callers: [Caller]
    private let spread: (_ caller: Int, _ number: Int) -> Int
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    /// Since the start: Amazon's seconds and the replicas' ticks begin at the same time.
    private var millisecond = 0
    private var sentThisSecond = 0
    private var board: [QuotaReport?]
    private let recent: [Recent]
    private var numbers: [Int]
    private var due: [Double]
    private var waiting: [Waiting] = []

    init(
        quota: Int, rates: [Int], weights: [Int] = [], replicas: Int = 1,
        spread: @escaping (_ caller: Int, _ number: Int) -> Int = { _, number in number }
    ) {
        (self.quota, self.rates, self.spread) = (quota, rates, spread)
        states = Array(repeating: nil, count: replicas)
        board = states.map { _ in nil }
        recent = states.map { _ in Recent() }
        outcomes = rates.map { _ in Outcomes() }
        numbers = rates.map { _ in 0 }
        // Not all in one moment.
        due = rates.indices.map { Double($0) / Double(rates.count) }
        callers = rates.indices.map { index in
            Caller(
                index: index, name: "caller\(index)", skills: [0],
                weight: index < weights.count ? weights[index] : 1)
        }
    }

    mutating func run(seconds: Int) { run(milliseconds: seconds * 1000) }

    mutating func run(milliseconds: Int) {
        for _ in 0..<milliseconds {
            defer { millisecond += 1 }
            if millisecond.isMultiple(of: 1000) { sentThisSecond = 0 }
            now = now + .milliseconds(1)
            for caller in rates.indices {
                due[caller] += Double(rates[caller]) / 1000
                while due[caller] >= 1 {
                    due[caller] -= 1
                    let replica = spread(caller, numbers[caller]) % states.count
                    numbers[caller] += 1
                    if states[replica]?.admit(callers[caller], now: now) != nil {
                        outcomes[caller].refused += 1
                    } else {
                        send(caller, from: replica)
                    }
                }
            }
            resumeThoseWhoWait()
            if millisecond.isMultiple(of: 250) { tick() }
        }
    }

    mutating func forgetOutcomes() { outcomes = rates.map { _ in Outcomes() } }

    private mutating func send(
        _ caller: Int, from replica: Int, isRepeated: Bool = false, pause: TimeAmount = .milliseconds(100)
    ) {
        let isOfItself = isOfItself(caller, numbers[caller])
        if !isOfItself { sentThisSecond += 1 }
        let isThrottled = isOfItself || sentThisSecond > quota
        if isThrottled, states[replica] == nil {
            states[replica] = QuotaState(
                letThrough: recent[replica].value(now: now), isShared: false, hasReplicas: states.count > 1, now: now)
            _ = states[replica]?.admit(callers[caller], now: now)
            if states.count > 1 { exchange(replica) }
        }
        states[replica]?.answered(callers[caller], isThrottled: isThrottled, isRepeated: isRepeated)
        guard isThrottled else {
            recent[replica].count(now: now)
            outcomes[caller].accepted += 1
            return
        }
        let verdict = states[replica]?.verdict(on: callers[caller], now: now) ?? .forward
        guard verdict != .forward, states[replica]?.hold(callers[caller]) == true else {
            outcomes[caller].throttled += 1
            return
        }
        wait(Waiting(caller: caller, replica: replica, verdict: verdict, until: now, pause: pause))
    }

    private mutating func wait(_ message: Waiting) {
        var message = message
        if case .undecided(let time) = message.verdict {
            message.until = time
        } else {
            message.until = now + message.pause
        }
        waiting.append(message)
    }

    private mutating func resumeThoseWhoWait() {
        let ready = waiting.filter { $0.until <= now }
        waiting.removeAll { $0.until <= now }
        for message in ready {
            let caller = callers[message.caller]
            if message.verdict == .sendAgain {
                states[message.replica]?.release(caller)
                outcomes[message.caller].sentAgain += 1
                send(
                    message.caller, from: message.replica, isRepeated: true,
                    pause: min(message.pause * 2, .milliseconds(400)))
                continue
            }
            var message = message
            message.verdict = states[message.replica]?.verdict(on: caller, hasWaited: true, now: now) ?? .forward
            if message.verdict == .forward {
                states[message.replica]?.release(caller)
                outcomes[message.caller].throttled += 1
            } else {
                wait(message)
            }
        }
    }

    private mutating func tick() {
        for replica in states.indices where states[replica] != nil { exchange(replica) }
    }

    private mutating func exchange(_ replica: Int) {
        board[replica] = states[replica]?.report(now: now)
        guard let own = board[replica] else {
            states[replica] = nil
            return
        }
        // As it goes through a store.
        let others = board.indices.filter { $0 != replica }.compactMap { board[$0].flatMap { QuotaReport($0.text) } }
        states[replica]?.use(own: own, of: now, others: canExchange ? others : nil, now: now)
    }
}
