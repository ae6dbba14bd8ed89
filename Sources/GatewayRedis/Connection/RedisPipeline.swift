import NIOCore

/// What was asked on one connection, and the replies to it in the same order. Pure: the time comes in, and what is to be
/// told to whom goes out.
///
/// A reply that is late is no dead connection: its command is given up, and its reply is dropped when it comes. A connection
/// on which nothing at all comes for twice as long is dead.
struct RedisPipeline {
    typealias Completion = RedisConnection.Completion

    enum Kind: Equatable {
        case handshake
        /// Nobody wants its reply: the one to the command behind it says all.
        case asking
        case single
        /// Its reply counts once the end of its batch confirms it. A claim is in vain if the store has lost its records.
        case confirmed(isClaim: Bool)
        /// Behind the commands of a batch: are the records of before still there?
        case epoch(isLast: Bool)
        /// Behind the commands of a batch: have that many replicas got them?
        case wait(replicas: Int)
    }

    /// Somebody is told what became of a command.
    struct Outcome {
        var completion: Completion
        var result: Result<RESPValue, RedisFailure>

        func tell() { completion(result) }
    }

    /// What a reply brings about.
    enum Event {
        case nothing
        case outcome(Outcome)
        /// Of a whole batch.
        case outcomes([Outcome])
        case handshake(RESPValue)
        /// Of the key that is looked at behind each batch.
        case epoch(RESPValue, [Outcome])
        /// It came to nothing that was asked.
        case unexpected
    }

    private struct Pending {
        var kind: Kind
        /// Nil once it has been given up.
        var completion: Completion?
        var deadline: NIODeadline
    }

    /// A reply that the end of its batch has not confirmed yet.
    private struct Held {
        var reply: RESPValue
        var isClaim: Bool
        /// Nil once it has been given up.
        var completion: Completion?
        var deadline: NIODeadline
    }

    /// Commands without a reply, at most: a server that reads nothing takes no more memory here than these.
    static let limit = 16_384

    /// For the reply to one command.
    private let timeout: TimeAmount
    private var pending = CircularBuffer<Pending>()
    /// The last so many have not been written yet.
    private var unsent = 0
    private var held = CircularBuffer<Held>()
    /// Whether the claims that are held were made in a store that has lost its records.
    private var isForgotten = false
    /// When something has come last, or when something was asked while nothing was awaited.
    private var silentSince = NIODeadline.distantPast

    init(timeout: Duration) {
        self.timeout = TimeAmount(timeout)
    }

    var count: Int { pending.count }
    var hasUnsent: Bool { unsent > 0 }
    /// Whether the server is waiting for replicas, and reads nothing meanwhile.
    private(set) var isWaiting = false

    /// - Parameter completion: of a single or confirmed command.
    mutating func append(_ kind: Kind, _ completion: Completion? = nil, now: NIODeadline) {
        if pending.isEmpty { silentSince = now }
        // The time to connect bounds the handshake as a whole.
        let deadline = kind == .handshake ? .distantFuture : now + timeout
        pending.append(Pending(kind: kind, completion: completion, deadline: deadline))
        unsent += 1
        if case .wait = kind { isWaiting = true }
    }

    /// Everything that was asked has been written.
    mutating func sent() { unsent = 0 }

    /// - Parameter isForgotten: whether the reply to the look at the epoch says that the store has lost its records, and
    ///   that what it has forgotten is not to be sent.
    mutating func received(_ reply: RESPValue, now: NIODeadline, isForgotten: (RESPValue) -> Bool) -> Event {
        silentSince = now
        guard let first = pending.popFirst() else { return .unexpected }
        switch first.kind {
        case .handshake: return .handshake(reply)
        case .asking: return .nothing
        case .single:
            guard let completion = first.completion else { return .nothing }
            return .outcome(Outcome(completion: completion, result: .success(reply)))
        case .confirmed(let isClaim):
            held.append(Held(reply: reply, isClaim: isClaim, completion: first.completion, deadline: first.deadline))
            return .nothing
        case .epoch(let isLast):
            self.isForgotten = isForgotten(reply)
            return .epoch(reply, isLast ? endBatch(isReplicated: true) : [])
        case .wait(let replicas):
            isWaiting = false
            guard case .integer(let confirmations) = reply else { return .outcomes(endBatch(isReplicated: false)) }
            return .outcomes(endBatch(isReplicated: confirmations >= replicas))
        }
    }

    /// Everything that is held is of one batch, since the next one's replies come behind its end.
    private mutating func endBatch(isReplicated: Bool) -> [Outcome] {
        let outcomes = held.compactMap { held in
            held.completion.map { Outcome(completion: $0, result: result(held, isReplicated: isReplicated)) }
        }
        held.removeAll(keepingCapacity: true)
        isForgotten = false
        return outcomes
    }

    private func result(_ held: Held, isReplicated: Bool) -> Result<RESPValue, RedisFailure> {
        // A refusal was not written and needs no replica.
        if case .error = held.reply { return .success(held.reply) }
        guard isReplicated else { return .failure(.notReplicated) }
        // What is there is true; only where nothing was, something may have been.
        if isForgotten, held.isClaim, held.reply == .null { return .failure(.forgotten) }
        return .success(held.reply)
    }

    // MARK: Time

    /// When `expire` has something to do; nil while nothing is awaited.
    var nextDeadline: NIODeadline? {
        guard !pending.isEmpty else { return nil }
        let next =
            held.first { $0.completion != nil }?.deadline ?? pending.first { $0.completion != nil }?.deadline
            ?? .distantFuture
        return pending.first?.kind == .handshake ? nil : min(next, silentSince + timeout + timeout)
    }

    /// Gives up what has waited for too long.
    mutating func expire(now: NIODeadline) -> (outcomes: [Outcome], isStalled: Bool) {
        var outcomes: [Outcome] = []
        for index in held.indices {
            guard held[index].deadline <= now else { break }
            guard let completion = held[index].completion.take() else { continue }
            outcomes.append(Outcome(completion: completion, result: .failure(.notReplicated)))
        }
        for index in pending.indices {
            guard pending[index].deadline <= now else { break }
            guard let completion = pending[index].completion.take() else { continue }
            outcomes.append(Outcome(completion: completion, result: .failure(.undecided)))
        }
        return (outcomes, !pending.isEmpty && silentSince + timeout + timeout <= now)
    }

    /// The connection has ended.
    ///
    /// - Returns: whether something may still be done by the server.
    mutating func end() -> (outcomes: [Outcome], leftUndecided: Bool) {
        var outcomes = held.compactMap { held in
            held.completion.map { Outcome(completion: $0, result: .failure(.notReplicated)) }
        }
        var leftUndecided = false
        for (place, entry) in pending.enumerated() {
            let isSent = place < pending.count - unsent
            switch entry.kind {
            case .single, .confirmed: leftUndecided = leftUndecided || isSent
            case .handshake, .asking, .epoch, .wait: break
            }
            if let completion = entry.completion {
                outcomes.append(Outcome(completion: completion, result: .failure(isSent ? .undecided : .notSent)))
            }
        }
        held.removeAll()
        pending.removeAll()
        return (outcomes, leftUndecided)
    }
}
