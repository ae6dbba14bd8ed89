import NIOCore

@testable import GatewayCore

/// Every course of events of up to four attempts at one key: any order, crashes at any step, pauses of any length, lost
/// replies of the store, answers of Amazon's that come late or never. Breadth first, so that the first violation found is
/// the shortest there is.
struct IdempotencyExploration {
    /// A rule for claiming and settling: the shipped one, or one that is known to fail.
    struct Design: Sendable {
        var claim: @Sendable (IdempotencyClaim, inout IdempotencyRecord?, NIODeadline) -> ClaimOutcome
        var settle: @Sendable (IdempotencyClaim, Settlement, inout IdempotencyRecord?, NIODeadline) -> Void
        /// A failover that loses the write of one claim whose reply has been given.
        var storeLosesWrites = false
        /// The record is in the memory of one process, and in a file that its successor reads; each write may fail.
        var isInFile = false
        /// A message may be sent before its claim is in the file.
        var sendsUnwritten = false
        /// What a skill's report does; nil: there are none.
        var receive: (@Sendable (inout IdempotencyRecord?, NIODeadline) -> Void)?
        /// Reports that anybody may have made up are taken for real ones.
        var takesForgedReceipts = false
        /// Records live for one unit of time, as those of messages without a key: after it, an equal message is another one.
        var isBrief = false

        static let shipped = Design(
            claim: { IdempotencyRecord.claim($0, on: &$1, now: $2) },
            settle: { IdempotencyRecord.settle($0, $1, on: &$2, now: $3) })

        static let receipt = Receipt(of: .init(words: (0, 0, 0, 0)), at: 1, binding: .message(0))

        static let withReceipts = {
            var design = shipped
            design.receive = { _ = IdempotencyRecord.receive(receipt, on: &$0, now: $1) }
            return design
        }()
    }

    struct Result {
        var states = 0
        /// The steps of the shortest course of events in which a message was doubled; nil if there is none.
        var violation: [String]?
        /// What the record was seen to be.
        var recordKinds: Set<String> = []
    }

    private enum Attempt: Hashable {
        case ready
        case claimed(at: Int)
        /// The bytes are written; waiting for the answer.
        case awaiting
        case heard(accepted: Bool)
        case timedOut
        case ended
    }

    /// What becomes of a message that was written, whoever still waits for it.
    private enum Wire: Hashable { case nothing, travelling, accepted, refused }

    private enum Record: Hashable {
        case sending(owner: Int, leaseEnds: Int, isResend: Bool)
        case unknown
        case accepted
        /// And the skill has received it.
        case received
    }

    private struct World {
        var record: Record?
        /// When it expires, in units.
        var expires = World.never
        /// As the file has it.
        var written: Record?
        var writtenExpires = World.never
        /// In units of more than a lease.
        var now = 0
        var attempts: [Attempt]
        var wires: [Wire]
        /// Of messages whose windows end: when each was sent.
        var sentAt: [Int]
        /// Doubles that a caller has consented to: messages sent by the last attempt, if it consents.
        var consented = 0
        var lostWrites = 0
        /// Reports that came so far.
        var receipts = 0
        /// The record says that a message was accepted which was not.
        var isWrong = false

        static let never = 7

        /// Of the window in which most were accepted; without windows, of all.
        var acceptances: Int {
            let times = wires.indices.filter { wires[$0] == .accepted }.map { sentAt[$0] }
            return Set(times).map { time in times.count { $0 == time } }.max() ?? 0
        }

        /// The same for worlds that differ only in which attempt is which; the last one may consent and stays itself.
        var canonical: UInt64 {
            var codes = attempts.indices.map(code)
            codes[..<(codes.count - 1)].sort()
            var packed = codes.reduce(0) { $0 << 9 | $1 }
            // Whose a claim in the file is matters only while the record in memory is the same.
            for (record, expires) in [(record, expires), (written, writtenExpires)] {
                packed = packed << 7 | Self.code(record) << 3 | UInt64(expires)
            }
            return packed << 8 | UInt64(receipts) << 6 | UInt64(now) << 4 | UInt64(isWrong ? 1 : 0) << 2
                | UInt64(consented) << 1 | UInt64(lostWrites)
        }

        private static func code(_ record: Record?) -> UInt64 {
            switch record {
            case nil: 0
            case .unknown: 1
            case .accepted: 2
            case .received: 3
            case .sending(_, let leaseEnds, let isResend): 4 + UInt64(leaseEnds) + (isResend ? 4 : 0)
            }
        }

        private func code(_ index: Int) -> UInt64 {
            let phase: UInt64 =
                switch attempts[index] {
                case .ready: 0
                case .claimed(let time): 1 + UInt64(time)
                case .awaiting: 4
                case .heard(let accepted): accepted ? 5 : 6
                case .timedOut: 7
                case .ended: 8
                }
            let wire: UInt64 =
                switch wires[index] {
                case .nothing: 0
                case .travelling: 1
                case .accepted: 2
                // Once nobody listens, a refusal is as if nothing had been sent.
                case .refused: attempts[index] == .ended ? 0 : 3
                }
            var isOwner = false
            if case .sending(index, _, _) = record { isOwner = true }
            return phase << 5 | wire << 3 | UInt64(sentAt[index]) << 1 | (isOwner ? 1 : 0)
        }
    }

    private static let unit = Duration.seconds(16)
    private static let lease = TimeAmount.seconds(15)
    private static let longestPause = 2
    private static let longestReceipts = 3
    private static let answer = AcceptedResponse(status: 202, region: .europe, requestID: nil)

    let design: Design
    let attempts: Int
    /// The last attempt consents to a possible double.
    let lastConsents: Bool

    func run() -> Result {
        let first = World(
            attempts: Array(repeating: .ready, count: attempts), wires: Array(repeating: .nothing, count: attempts),
            sentAt: Array(repeating: 0, count: attempts))
        var result = Result()
        var origins: [UInt64: Origin] = [first.canonical: Origin(world: first.canonical, step: nil)]
        var frontier = [first]
        while !frontier.isEmpty {
            var next: [World] = []
            for world in frontier {
                result.recordKinds.insert(Self.kind(world.record))
                if world.acceptances > 1 + world.consented || world.isWrong {
                    result.states = origins.count
                    result.violation = Self.steps(to: world.canonical, origins)
                    return result
                }
                let key = world.canonical
                for (step, successor) in successors(of: world) {
                    let successorKey = successor.canonical
                    guard origins[successorKey] == nil else { continue }
                    origins[successorKey] = Origin(world: key, step: step)
                    next.append(successor)
                }
            }
            frontier = next
        }
        result.states = origins.count
        return result
    }

    private struct Origin {
        var world: UInt64
        /// Nil for the first world.
        var step: Step?
    }

    /// What happens, and to which attempt.
    private struct Step {
        var text: StaticString
        var attempt: Int?

        var description: String { attempt.map { "\($0) \(text)" } ?? "\(text)" }
    }

    private static func kind(_ record: Record?) -> String {
        switch record {
        case nil: "absent"
        case .sending: "sending"
        case .unknown: "unknown"
        case .accepted: "accepted"
        case .received: "received"
        }
    }

    private static func steps(to world: UInt64, _ origins: [UInt64: Origin]) -> [String] {
        var steps: [String] = []
        var current = world
        while let origin = origins[current], let step = origin.step {
            steps.append(step.description)
            current = origin.world
        }
        return steps.reversed()
    }

    private func successors(of world: World) -> [(Step, World)] {
        var all: [(Step, World)] = []
        func add(_ text: StaticString, _ attempt: Int? = nil, _ change: (inout World) -> Void) {
            var successor = world
            change(&successor)
            all.append((Step(text: text, attempt: attempt), successor))
        }
        if world.now < Self.longestPause { add("time passes") { $0.now += 1 } }
        if design.storeLosesWrites, world.lostWrites == 0, case .sending = world.record {
            add("the store loses the claim") {
                set(nil, in: &$0)
                $0.lostWrites = 1
            }
        }
        if design.isInFile { addStepsOfFile(in: world, add) }
        if let receive = design.receive, world.receipts < Self.longestReceipts {
            if world.wires.contains(.accepted) { add("the skill reports") { report(by: receive, &$0) } }
            if design.takesForgedReceipts { add("somebody else reports") { report(by: receive, &$0) } }
        }
        for index in 0..<attempts {
            switch world.wires[index] {
            case .travelling:
                add("accepted by Amazon", index) { $0.wires[index] = .accepted }
                add("refused by Amazon", index) { $0.wires[index] = .refused }
            case .nothing, .accepted, .refused: break
            }
            addSteps(of: index, in: world, add)
        }
        return all
    }

    private func addStepsOfFile(in world: World, _ add: (StaticString, Int?, (inout World) -> Void) -> Void) {
        if world.written != world.record || world.writtenExpires != world.expires {
            add("what was not written is written", nil) { Self.write(&$0) }
        }
        add("the process is killed", nil) { world in
            (world.record, world.expires) = (world.written, world.writtenExpires)
            for index in world.attempts.indices where world.attempts[index] != .ready { world.attempts[index] = .ended }
        }
    }

    private func addSteps(of index: Int, in world: World, _ add: (StaticString, Int?, (inout World) -> Void) -> Void) {
        switch world.attempts[index] {
        case .ready:
            add("claims", index) { claim(index, &$0, replyIsLost: false) }
            if design.isInFile {
                add("claims and it cannot be written", index) { $0.attempts[index] = .ended }
            } else {
                add("claims and the reply is lost", index) { claim(index, &$0, replyIsLost: true) }
            }
        case .claimed(let time) where time == world.now:
            add("sends", index) {
                $0.attempts[index] = .awaiting
                $0.wires[index] = .travelling
                if design.isBrief { $0.sentAt[index] = $0.now }
                if lastConsents && index == attempts - 1 { $0.consented = 1 }
            }
        case .claimed:
            add("wakes up too late to send", index) { settle(index, .released, &$0) }
        case .awaiting:
            add("gives up waiting", index) { $0.attempts[index] = .timedOut }
            if world.wires[index] != .travelling {
                add("hears", index) { $0.attempts[index] = .heard(accepted: $0.wires[index] == .accepted) }
            }
        case .heard(let accepted):
            addSettling(
                index, accepted ? .accepted(Self.answer) : .released, "settles", "settles and it cannot be written", add
            )
        case .timedOut:
            addSettling(index, .unknown, "settles as unknown", "settles as unknown and it cannot be written", add)
        case .ended: return
        }
        // The attempts of one process end together.
        if world.attempts[index] != .ready && !design.isInFile { add("crashes", index) { $0.attempts[index] = .ended } }
    }

    private func addSettling(
        _ index: Int, _ settlement: Settlement, _ text: StaticString, _ unwritten: StaticString,
        _ add: (StaticString, Int?, (inout World) -> Void) -> Void
    ) {
        add(text, index) { settle(index, settlement, &$0) }
        if design.isInFile { add(unwritten, index) { settle(index, settlement, &$0, isWritten: false) } }
    }

    private static func write(_ world: inout World) {
        (world.written, world.writtenExpires) = (world.record, world.expires)
    }

    private func report(by receive: (inout IdempotencyRecord?, NIODeadline) -> Void, _ world: inout World) {
        var record = Self.unpack(world.record, expires: world.expires)
        receive(&record, Self.time(world.now))
        set(record, in: &world)
        // What a file does not say is asked for again, so a report that cannot be written is one that has not come.
        if design.isInFile { Self.write(&world) }
        world.receipts += 1
        if world.record == .received && !world.wires.contains(.accepted) { world.isWrong = true }
    }

    private func makeClaim(_ index: Int, retention: TimeAmount = .seconds(86_400)) -> IdempotencyClaim {
        IdempotencyClaim(
            scope: .init(words: (0, 0, 0, 0)), fingerprint: .init(words: (0, 0)),
            owner: .init(origin: 0, number: UInt64(index)), lease: Self.lease, retention: retention,
            consent: lastConsents && index == attempts - 1)
    }

    private func claim(_ index: Int, _ world: inout World, replyIsLost: Bool) {
        var record = Self.unpack(world.record, expires: world.expires)
        let claim = makeClaim(index, retention: design.isBrief ? TimeAmount(Self.unit) : .seconds(86_400))
        let outcome = design.claim(claim, &record, Self.time(world.now))
        set(record, in: &world)
        if design.isInFile && !design.sendsUnwritten { Self.write(&world) }
        guard !replyIsLost else { return }  // it may claim again, as the same owner
        world.attempts[index] = outcome == .owned ? .claimed(at: world.now) : .ended
    }

    private func settle(_ index: Int, _ settlement: Settlement, _ world: inout World, isWritten: Bool = true) {
        var record = Self.unpack(world.record, expires: world.expires)
        // What is settled late lives for what is left of its window.
        let brief = world.sentAt[index] == world.now ? TimeAmount(Self.unit) : .zero
        let claim = makeClaim(index, retention: design.isBrief ? brief : .seconds(86_400))
        design.settle(claim, settlement, &record, Self.time(world.now))
        set(record, in: &world)
        if design.isInFile && isWritten { Self.write(&world) }
        world.attempts[index] = .ended
    }

    private func set(_ record: IdempotencyRecord?, in world: inout World) {
        world.record = Self.pack(record)
        world.expires =
            design.isBrief
            ? record.flatMap { record in (0..<World.never).first { Self.time($0) >= record.expires } } ?? World.never
            : World.never
    }

    private static func time(_ now: Int) -> NIODeadline { .uptimeNanoseconds(1) + unit * now }

    private static func unpack(_ record: Record?, expires: Int) -> IdempotencyRecord? {
        record.map { record in
            let state: IdempotencyRecord.State =
                switch record {
                case .sending(let owner, let leaseEnds, let isResend):
                    .sending(
                        owner: .init(origin: 0, number: UInt64(owner)), leaseEnds: time(leaseEnds - 1) + lease,
                        isResend: isResend)
                case .unknown: .unknown
                case .accepted: .accepted(answer)
                case .received:
                    .accepted(AcceptedResponse(status: 202, region: .europe, requestID: nil, receivedAt: 1))
                }
            return IdempotencyRecord(
                fingerprint: .init(words: (0, 0)), state: state,
                expires: expires == World.never ? .distantFuture : time(expires))
        }
    }

    private static func pack(_ record: IdempotencyRecord?) -> Record? {
        switch record?.state {
        case nil: nil
        case .unknown: .unknown
        case .accepted(let answer): answer.receivedAt == nil ? .accepted : .received
        case .sending(let owner, let leaseEnds, let isResend):
            .sending(
                owner: Int(owner.number), leaseEnds: (0...longestPause + 1).first { time($0) >= leaseEnds } ?? 0,
                isResend: isResend)
        }
    }
}
