import FoundationEssentials
import ServiceLifecycle

/// Delivers accepted messages to a skill, each in a task of its own, until the simulator ends.
///
/// Order is not promised, as at Amazon.
final class MessageDeliverer: Service {
    private let skill: SkillEndpoint
    private let amazon: SimulatedAmazon
    private let messages: AsyncStream<AcceptedMessage>
    private let continuation: AsyncStream<AcceptedMessage>.Continuation
    private let clock = ContinuousClock()

    init(to skill: SkillEndpoint, of amazon: SimulatedAmazon) {
        self.skill = skill
        self.amazon = amazon
        (messages, continuation) = AsyncStream.makeStream()
    }

    func accepted(_ message: AcceptedMessage) {
        // Counts what is under way, so the stream never holds more than may be.
        if amazon.deliveries.begin(message) { continuation.yield(message) }
    }

    func run() async {
        await withDiscardingTaskGroup { tasks in
            for await message in messages.cancelOnGracefulShutdown() {
                tasks.addTask { await self.deliver(message) }
            }
            tasks.cancelAll()
        }
    }

    private func deliver(_ message: AcceptedMessage) async {
        let accepted = clock.now
        var schedule = DeliverySchedule(expiry: .seconds(message.expiresAfterSeconds))
        while let due = schedule.next {
            guard (try? await clock.sleep(until: accepted + due / skill.speed)) != nil else { return }
            let time = accepted.duration(to: clock.now) * skill.speed
            let attempt = Delivery.Attempt(
                dueSeconds: due / .seconds(1), atSeconds: time / .seconds(1), status: await post(message))
            amazon.deliveries.attempted(message.requestId, attempt)
            if attempt.isAcknowledged {
                await acknowledged(message)
                return amazon.deliveries.ended(message.requestId, .acknowledged)
            }
            schedule.attemptFailed()
        }
        amazon.deliveries.ended(message.requestId, .expired)
    }

    private func acknowledged(_ message: AcceptedMessage) async {
        let reporter = skill.receipts.map { ReceiptReporter(receipts: $0, amazon: amazon) }
        await reporter?.report(message)
        guard Double.random(in: 0..<1) < amazon.faults.skill?.deliveredTwice ?? 0 else { return }
        _ = await post(message)
        await reporter?.report(message)
    }

    private func post(_ message: AcceptedMessage) async -> Int? {
        guard let post = skill.post else { return 200 }
        let envelope = RequestEnvelope(
            skillID: skill.skillID, message: message, apiEndpoint: amazon.apiEndpoint(of: message.region), now: .now)
        return try? await post(envelope.encoded())
    }
}
