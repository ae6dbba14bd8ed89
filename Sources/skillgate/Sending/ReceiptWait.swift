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
        var (left, pause) = (messages, Self.firstPause)
        while !left.isEmpty && !Task.isCancelled {
            let received = await received(of: left)
            left.removeAll { received.contains($0.name) }
            for _ in received { progress.advanced(isAccepted: true, now: clock.now) }
            guard !left.isEmpty, clock.now < end else { break }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
        }
        progress.finish(now: clock.now)
        return left
    }

    /// The names of those that have been reported by now.
    private func received(of messages: [SendInput]) async -> Set<String> {
        await withTaskGroup(of: String?.self) { tasks in
            var names: Set<String> = []
            for (index, message) in messages.enumerated() {
                if index >= concurrency, let name = await tasks.next() { name.map { _ = names.insert($0) } }
                tasks.addTask { await sender.isReceived(message) ? message.name : nil }
            }
            for await name in tasks { name.map { _ = names.insert($0) } }
            return names
        }
    }
}
