import GatewayCore
import UnixSignals

/// Waits until their skill has reported messages that were sent, or until Amazon no longer tries to deliver them.
struct ReceiptWait: Sendable {
    private static let firstPause = Duration.milliseconds(250)
    private static let longestPause = Duration.seconds(5)
    /// A report may take a while to reach the gateway.
    private static let grace = Duration.seconds(60)

    let sender: MessageSender
    let concurrency: Int

    /// - Returns: those that were not received.
    func run(_ messages: [SendInput]) async -> [SendInput] {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        StandardError.write("waiting until the skill has reported \(messages.count) messages\n")
        return await withTaskGroup { tasks in
            tasks.addTask { await untilReceived(messages) }
            tasks.addTask {
                for await _ in signals { break }
                return nil
            }
            // Interrupted, the other task ends soon, and says what is left.
            let first = await tasks.next() ?? nil
            tasks.cancelAll()
            if let first { return first }
            for await left in tasks { if let left { return left } }
            return messages
        }
    }

    private func untilReceived(_ messages: [SendInput]) async -> [SendInput]? {
        let clock = ContinuousClock()
        let longest = messages.map(\.expirySeconds).max() ?? 0
        let end = clock.now + .seconds(longest) + Self.grace
        var progress = Progress(total: messages.count, done: 0, unit: "received", now: clock.now)
        var (left, forgotten, pause) = (messages, [SendInput](), Self.firstPause)
        while !left.isEmpty && !Task.isCancelled {
            let ended = await ended(of: left, until: end)
            forgotten += left.filter { ended[$0.name] == false }
            left.removeAll { ended[$0.name] != nil }
            for isReceived in ended.values { progress.advanced(isAccepted: isReceived, now: clock.now) }
            guard !left.isEmpty, clock.now < end else { break }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
            // Where there is no time for all, each has its turn.
            left.shuffle()
        }
        progress.finish(now: clock.now)
        return (left + forgotten).sorted { $0.line < $1.line }
    }

    /// By name, those that have been reported by now, and those that will not be, as far as there is time to ask.
    private func ended(of messages: [SendInput], until end: ContinuousClock.Instant) async -> [String: Bool] {
        await withTaskGroup(of: (String, MessageSender.Delivery).self) { tasks in
            var ended: [String: Bool] = [:]
            func note(_ name: String, _ delivery: MessageSender.Delivery) {
                switch delivery {
                case .received: ended[name] = true
                case .forgotten: ended[name] = false
                case .open: break
                }
            }
            for (index, message) in messages.enumerated() {
                if index >= concurrency, let (name, delivery) = await tasks.next() { note(name, delivery) }
                guard !Task.isCancelled, ContinuousClock().now < end else { break }
                tasks.addTask { (message.name, await sender.delivery(of: message)) }
            }
            for await (name, delivery) in tasks { note(name, delivery) }
            return ended
        }
    }
}
