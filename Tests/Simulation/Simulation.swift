import GatewayCore
import NIOCore

/// What one seed came to.
package struct SimulationReport: Sendable {
    package var seed: UInt64
    /// Invariants that were broken, by their number in `Docs/Architecture.md`; empty for a good run.
    package var violations: [String]
    package var requests: Int
    package var sends: Int
    package var accepted: Int
    /// Messages under no key that were accepted when the window of an equal one was over.
    package var acceptedAgain: Int
    /// Messages that were known to be accepted by a receipt alone.
    package var provenByReceipt: Int
    package var deaths: Int
    /// Answers to callers, by status.
    package var answers: [Int: Int]
}

/// A few minutes in the life of one to three gateways, in virtual time: callers that retry, a server that stalls and
/// dies, processes that are paused and killed, tokens that are revoked, and an Amazon at its worst. The same seed gives the
/// same course of events.
package final class Simulation {
    private static let faultsEnd = Duration.seconds(40)
    /// Long enough for every deadline, lease and backlog.
    private static let quiet = Duration.seconds(30)

    private let seed: UInt64
    private let timeline: Timeline
    private let ledger = Ledger()
    private let storage: SimulatedStorage
    private let upstream: SimulatedUpstream
    private var processes: [SimulatedProcess] = []
    private var started = 0
    private var deaths = 0
    private let faultRate: Double

    /// Gateways that share a server.
    package init(seed: UInt64, design: StoreDesign = .shipped) {
        self.seed = seed
        timeline = Timeline(seed: seed)
        storage = .server(SimulatedServer(timeline, ledger: ledger, design: design))
        upstream = SimulatedUpstream(timeline, ledger: ledger)
        faultRate = timeline.fraction()
    }

    /// One gateway with files, and its successors.
    package init(seed: UInt64, disk design: DiskDesign) {
        self.seed = seed
        timeline = Timeline(seed: seed)
        storage = .disk(SimulatedDisk(timeline, ledger: ledger, design: design))
        upstream = SimulatedUpstream(timeline, ledger: ledger)
        faultRate = timeline.fraction()
    }

    /// - Parameter print: told each event, with its time in milliseconds.
    package func trace(_ print: @escaping (String) -> Void) {
        ledger.onEvent = { [timeline] in print("\(timeline.now.uptimeNanoseconds / 1_000_000) \($0)") }
    }

    package func run() throws -> SimulationReport {
        var processCount = timeline.number(1...3)
        if case .disk = storage { processCount = 1 }
        for _ in 0..<processCount { processes.append(try start()) }
        let end = timeline.now + Self.faultsEnd
        ledger.onAccepted = { [self] in deliver($0) }
        for key in 0..<timeline.number(1...ScopesOfKeys.keys) {
            for _ in 0..<timeline.number(1...3) { startCaller(key) }
        }
        scheduleFaults(until: end)
        proceed(until: end)
        becomeQuiet()
        proceed(until: end + Self.quiet)
        checkTheEnd()
        let report = SimulationReport(
            seed: seed, violations: ledger.violations, requests: ledger.requests, sends: ledger.sends.count,
            accepted: ledger.sends.count { $0.wasAccepted }, acceptedAgain: ledger.acceptedAgain,
            provenByReceipt: ledger.provenByReceipt.count, deaths: deaths,
            answers: ledger.answers)
        for process in processes { process.die() }
        return report
    }

    private func proceed(until end: NIODeadline) {
        while timeline.advance(until: end, { time in for process in processes { process.advance(to: time) } }) {}
    }

    private func start() throws -> SimulatedProcess {
        started += 1
        return try SimulatedProcess(number: started, timeline, storage, upstream: upstream, ledger: ledger)
    }

    // MARK: Callers

    private func startCaller(_ key: Int) {
        // Now and then somebody uses a key again for another message.
        var message = Ledger.Message(key: key, variant: timeline.chance(0.1) ? 1 : 0)
        if message.isKeyedByContent { message.variant = 0 }
        timeline.after(timeline.milliseconds(0...5_000)) { [self] in request(message, tries: 0, hasSeenUnknown: false) }
    }

    private func request(_ message: Ledger.Message, tries: Int, hasSeenUnknown: Bool) {
        guard tries < 12 else { return }
        let isConsented = hasSeenUnknown && timeline.chance(0.3)
        let process = timeline.element(processes)
        ledger.requested(message, isConsented: isConsented)
        let number = ledger.requests
        var isOver = false
        let again = { [self] (hasSeenUnknown: Bool) in
            timeline.after(timeline.milliseconds(10...3_000)) { [self] in
                request(message, tries: tries + 1, hasSeenUnknown: hasSeenUnknown)
            }
        }
        process.run { [self] in
            process.forward(message, isConsented: isConsented) { [self] answer, recordBegan in
                ledger.answered(message, with: answer, isConsented: isConsented, recordBegan: recordBegan)
                guard !isOver else { return ledger.violated(14, "request \(number) was answered twice") }
                isOver = true
                let isUnknown = answer.status == 504
                // What is accepted is asked for once more now and then: it has to be the same answer.
                if (200...299).contains(answer.status) && timeline.chance(0.7) { return }
                again(hasSeenUnknown || isUnknown)
            }
        }
        // A caller has no answer for ever: its gateway may have died. It asks again, while the first may go on.
        timeline.after(.seconds(4)) {
            guard !isOver else { return }
            again(hasSeenUnknown)
        }
    }

    /// The skill gets a message, sooner or later, and reports it to some gateway, more than once now and then.
    private func deliver(_ send: Int) {
        guard timeline.chance(0.6) else { return }
        for _ in 0..<timeline.number(1...2) {
            timeline.after(timeline.milliseconds(timeline.chance(0.7) ? 5...500 : 500...20_000)) { [self] in
                let process = timeline.element(processes)
                process.run { process.receive(send) }
            }
        }
    }

    // MARK: Faults

    private func scheduleFaults(until end: NIODeadline) {
        timeline.after(timeline.milliseconds(50...Int(3_000 - 2_500 * faultRate))) { [self] in
            guard timeline.now < end else { return }
            strike()
            scheduleFaults(until: end)
        }
    }

    private func strike() {
        switch timeline.number(0...5) {
        case 0:
            let process = timeline.element(processes)
            process.pause()
            // Shorter than the send budget, or longer than a lease.
            let pause = timeline.chance(0.5) ? timeline.milliseconds(10...900) : timeline.milliseconds(1_500...9_000)
            timeline.after(pause) { process.resume() }
        case 1: killProcess()
        case 2, 3, 4: strikeStorage()
        default: revokeTokens()
        }
    }

    private func strikeStorage() {
        switch (storage, timeline.number(0...2)) {
        case (.server(let server), 0):
            server.stall()
            timeline.after(timeline.milliseconds(20...4_000)) { server.goOn() }
        case (.server(let server), 1):
            server.kill()
            for process in processes { process.breakStoreConnection() }
            timeline.after(timeline.milliseconds(50...3_000)) { server.restart() }
        case (.server, _): timeline.element(processes).breakStoreConnection()
        case (.disk(let disk), 0):
            disk.fill()
            timeline.after(timeline.milliseconds(20...4_000)) { disk.empty() }
        case (.disk(let disk), _):
            disk.killNextWriter { [self] in
                processes[0].isKilledNow()
                timeline.after(.zero) { [self] in killProcess() }
            }
        }
    }

    private func killProcess() {
        let index = timeline.number(0...processes.count - 1)
        // First of all: what it still runs while it ends must leave no trace.
        if case .disk(let disk) = storage { disk.handOver() }
        processes[index].die()
        deaths += 1
        if let successor = try? start() { processes[index] = successor }
    }

    private func revokeTokens() {
        upstream.revokeTokens()
        for process in processes { process.tokensRevoked(upstream.validTokens) }
    }

    private func becomeQuiet() {
        upstream.hasFaults = false
        switch storage {
        case .server(let server):
            server.goOn()
            server.restart()
        case .disk(let disk):
            disk.empty()
            disk.spareWriters()
        }
        for process in processes { process.resume() }
    }

    // MARK: The end

    private func checkTheEnd() {
        let records = storage.records
        for key in 0..<ScopesOfKeys.keys {
            guard let scope = ScopesOfKeys.shared.scope(of: key), let record = records[scope],
                record.expires > timeline.now
            else { continue }
            switch record.state {
            case .accepted: break
            case .unknown:
                if !ledger.isExcused(key, scope) {
                    ledger.violated(10, "key \(key) is unknown, and nobody sent it or died with it")
                }
            case .sending(let owner, let leaseEnds, _):
                if leaseEnds > timeline.now { ledger.violated(9, "key \(key) is still being sent") }
                if !ledger.isExcused(owner) {
                    ledger.violated(10, "key \(key) is in doubt, and its attempt neither sent a byte nor died")
                }
            }
        }
        if records.count > ScopesOfKeys.keys { ledger.violated(12, "there are \(records.count) records") }
        for process in processes {
            let inFlight = process.messagesInFlight
            if inFlight != 0 { ledger.violated(9, "process \(process.number) has \(inFlight) messages in flight") }
            if process.messagesCounted != process.answered {
                ledger.violated(
                    14, "process \(process.number) counted \(process.messagesCounted) and answered \(process.answered)")
            }
        }
    }
}
