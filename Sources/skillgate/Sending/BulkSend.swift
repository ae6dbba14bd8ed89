import ArgumentParser
import UnixSignals

/// Sends a file of messages, so many at once, and goes on where an earlier run was interrupted.
struct BulkSend {
    let file: String
    /// Nil: nothing is sent, and messages that are not valid are shown as they are found.
    let resultsPath: String?
    let concurrency: Int
    let sender: MessageSender
    /// Whether to wait until the skill has reported what was sent.
    let waits: Bool

    func run() async throws {
        let (messages, before) = try read()
        let results: ResultsFile? = try StandardError.orExit {
            if let resultsPath { try ResultsFile(appendingTo: resultsPath) } else { nil }
        }
        var counts: [String: Int] = [:]
        /// By label: one of them.
        var reasons: [String: String] = [:]
        var left = messages.filter { message in
            guard let result = before[message.name], result.settles(message) else { return true }
            counts[result.label, default: 0] += 1
            return false
        }
        if left.count < messages.count {
            StandardError.write("\(messages.count - left.count) of \(messages.count) messages are already done\n")
        }
        let clock = ContinuousClock()
        var progress = Progress(total: messages.count, done: messages.count - left.count, now: clock.now)
        left.reverse()
        var unfinished = left.count
        /// By name: those that may be delivered.
        var inDelivery = Set(before.values.filter { $0.isAccepted }.map(\.name))
        var inDoubt: Set<String> = []
        var isInterrupted = false
        try await withThrowingTaskGroup(of: Event.self) { tasks in
            tasks.addTask {
                for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { return .interrupted }
                return .interrupted
            }
            var underWay = 0
            func startNext() {
                guard !isInterrupted, let message = left.popLast() else { return }
                underWay += 1
                // What may have been accepted is asked about: whatever the gateway remembers by now, only consent sends it again.
                let isInDoubt = before[message.name]?.isUnknown == true && !sender.consentsToDoubles
                tasks.addTask { .answered(await isInDoubt ? sender.ask(about: message) : sender.send(message)) }
            }
            // Whether the gateway only checks is seen by one message.
            for _ in 0..<(sender.validatesOnly ? 1 : concurrency) { startNext() }
            while underWay > 0, let event = try await tasks.next() {
                switch event {
                case .interrupted:
                    // What has begun is waited for, since its answer would be lost otherwise; pauses before another try end.
                    isInterrupted = true
                    tasks.cancelAll()
                case .answered(let result):
                    underWay -= 1
                    try StandardError.orExit { try results?.append(result) }
                    if resultsPath == nil && !result.isAccepted {
                        print("\(file):\(result.line): \(result.label)  \(result.detail ?? "")")
                    }
                    if let detail = result.detail { reasons[result.label, default: detail] = detail }
                    counts[result.label, default: 0] += 1
                    if result.isFinal { unfinished -= 1 }
                    if result.isAccepted || result.isUnknown { inDelivery.insert(result.name) }
                    if result.isUnknown { inDoubt.insert(result.name) }
                    progress.advanced(isAccepted: result.isAccepted, now: clock.now)
                    if result.wasSentByMistake == true {
                        isInterrupted = true
                        tasks.cancelAll()
                    }
                    repeat { startNext() } while underWay < concurrency && !left.isEmpty && !isInterrupted
                }
            }
            tasks.cancelAll()
        }
        progress.finish(now: clock.now)
        show(counts, reasons, notSent: left.count)
        if waits && isInterrupted { throw ExitCode(ExitStatus.tryAgain) }
        if waits {
            let sent = messages.filter { inDelivery.contains($0.name) }
            try await Self.wait(for: sent, by: sender, concurrency: concurrency)
            for message in sent where inDoubt.contains(message.name) {
                let result = await sender.ask(about: message)
                guard result.isAccepted else { continue }
                try StandardError.orExit { try results?.append(result) }
                unfinished -= 1
                counts["504", default: 0] -= 1
            }
        }
        if unfinished > 0 { throw ExitCode(ExitStatus.tryAgain) }
        if counts.contains(where: { !$0.key.hasPrefix("2") && $0.value > 0 }) { throw ExitCode(ExitStatus.data) }
    }

    /// - Throws: the exit status, if some are not received in time.
    static func wait(for messages: [SendInput], by sender: MessageSender, concurrency: Int) async throws {
        let unreceived = await ReceiptWait(sender: sender, concurrency: concurrency).run(messages)
        print("received \(messages.count - unreceived.count) of \(messages.count)")
        for message in unreceived.prefix(10) {
            print("not received: line \(message.line), key \(message.idempotencyKey)")
        }
        if unreceived.count > 10 { print("and \(unreceived.count - 10) more") }
        if !unreceived.isEmpty { throw ExitCode(ExitStatus.tryAgain) }
    }

    private enum Event: Sendable {
        case answered(SendResult)
        case interrupted
    }

    // MARK: Files

    private func read() throws -> (messages: [SendInput], before: [String: SendResult]) {
        try StandardError.orExit {
            let text = try TextFile.read(file == "-" ? "/dev/stdin" : file, limitBytes: 1 << 30, mayWait: true)
            let messages = try messages(in: text)
            guard let resultsPath else { return (messages, [:]) }
            let before = try ResultsFile.read(resultsPath)
            // Lines may have been added, mended and taken out since; but not all of them.
            guard before.isEmpty || messages.isEmpty || messages.contains(where: { before[$0.name] != nil })
            else {
                throw TextFile.ReadingError(
                    description:
                        "\(resultsPath) contains results for messages other than those in \(file); expected another "
                        + "results file (--results)")
            }
            return (messages, before)
        }
    }

    /// All of them, so that a mistake in the last line is found before the first is sent.
    private func messages(in text: String) throws(TextFile.ReadingError) -> [SendInput] {
        var messages: [SendInput] = []
        var mistakes: [String] = []
        var occurrences: [[UInt8]: Int] = [:]
        var lines: [String: Int] = [:]
        // Editors put a mark before the first byte.
        let text =
            text.unicodeScalars.first == "\u{FEFF}" ? Substring(text.unicodeScalars.dropFirst()) : Substring(text)
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            if line.allSatisfy(\.isWhitespace) { continue }
            do throws(SendInput.InputError) {
                var message = try SendInput(line: index + 1, json: Array(line.utf8))
                if let said = message.said {
                    message.distinguish(occurrence: occurrences[said, default: 0])
                    occurrences[said, default: 0] += 1
                }
                if let other = lines.updateValue(index + 1, forKey: message.name) {
                    throw SendInput.InputError(
                        description: "member `idempotencyKey` is that of line \(other) as well; expected one of its own"
                    )
                }
                messages.append(message)
            } catch {
                mistakes.append("\(file):\(index + 1): \(error)")
            }
        }
        guard mistakes.isEmpty else { throw TextFile.ReadingError(description: mistakes.joined(separator: "\n")) }
        return messages
    }

    // MARK: The table at the end

    private func show(_ counts: [String: Int], _ reasons: [String: String], notSent: Int) {
        print("status      messages")
        for (label, count) in counts.sorted(by: { $0.key < $1.key }) {
            print(Self.row(label, count) + (reasons[label].map { label == "200" ? "  valid" : "  \($0)" } ?? ""))
        }
        if notSent > 0 { print(Self.row("not sent", notSent)) }
        if let resultsPath { print("results are in \(resultsPath)") }
    }

    private static func row(_ label: String, _ count: Int) -> String {
        let number = "\(count)"
        return label + String(repeating: " ", count: max(1, 20 - label.count - number.count)) + number
    }
}
