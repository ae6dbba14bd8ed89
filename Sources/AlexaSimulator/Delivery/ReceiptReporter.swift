import FoundationEssentials

/// Reports messages as their skill would, and as it would not: lost, late, twice, or with an id that nobody has made.
struct ReceiptReporter {
    let receipts: SkillEndpoint.Receipts
    let amazon: SimulatedAmazon

    /// Returns when there is nothing more to be done for the message.
    func report(_ message: AcceptedMessage) async {
        guard case .object(let data) = message.data, case .string(let id)? = data[receipts.member] else { return }
        let faults = amazon.faults.skill ?? Faults.Skill()
        if strikes(faults.receiptsForged) { await report(id: String(id.reversed())) }
        if strikes(faults.receiptsLost) { return amazon.deliveries.reported(nil) }
        if strikes(faults.receiptsLate) {
            guard (try? await Task.sleep(for: .milliseconds(faults.lateMilliseconds ?? 1000))) != nil else { return }
        }
        await report(id: id)
        if strikes(faults.receiptsDoubled) { await report(id: id) }
    }

    private func strikes(_ probability: Double?) -> Bool {
        probability.map { Double.random(in: 0..<1) < $0 } ?? false
    }

    private struct Answer: Decodable {
        var first: Bool
    }

    private func report(id: String) async {
        let content = Array((try? JSONEncoder().encode(["id": id])) ?? Data())
        guard let (status, content) = try? await receipts.post(content), status == 200,
            let answer = try? JSONDecoder().decode(Answer.self, from: Data(content))
        else { return amazon.deliveries.reported(nil) }
        amazon.deliveries.reported(answer.first)
    }
}
