import NIOCore

/// Asks all Sentinels at once which server is the master, and what they agree on. Bound to its event loop.
final class SentinelPoll {
    /// What was agreed on last, and when.
    private(set) var agreed: (report: SentinelReport, at: NIODeadline)?

    private let master: String
    private let eventLoop: any EventLoop
    private let sentinels: [RedisNode]
    /// Those who wait for the answers to the round that is under way.
    private var waiting: [(SentinelReport?) -> Void] = []
    private var reports: [SentinelReport?] = []
    private var missing = 0

    init(_ connector: RedisConnector, master: String) {
        self.master = master
        eventLoop = connector.eventLoop
        sentinels = connector.configuration.addresses.map { address in
            RedisNode(connector, as: .sentinel, resolve: { $0(.success(address)) })
        }
    }

    func start() { for sentinel in sentinels { sentinel.connect() } }

    func shutDown() { for sentinel in sentinels { sentinel.shutDown() } }

    /// - Parameter completion: called when all have answered or had time to; nil if they do not agree.
    func ask(_ completion: @escaping (SentinelReport?) -> Void) {
        waiting.append(completion)
        guard missing == 0 else { return }
        reports = Array(repeating: nil, count: sentinels.count)
        missing = sentinels.count
        guard missing > 0 else { return finish() }
        for (place, sentinel) in sentinels.enumerated() {
            ask(sentinel) { report in
                self.reports[place] = report
                self.missing -= 1
                if self.missing == 0 { self.finish() }
            }
        }
    }

    private func finish() {
        let report = SentinelReport.agreement(reports)
        if let report { agreed = (report, eventLoop.now) }
        let waiting = waiting
        self.waiting.removeAll()
        for completion in waiting { completion(report) }
    }

    private func ask(_ sentinel: RedisNode, _ completion: @escaping (SentinelReport?) -> Void) {
        var replies: [RESPValue] = []
        let questions = [
            ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master], ["SENTINEL", "MASTER", master],
            ["SENTINEL", "REPLICAS", master],
        ]
        for (place, question) in questions.enumerated() {
            sentinel.send(RedisRequest(.plain(question))) { result in
                replies.append((try? result.get()) ?? .null)
                guard place == questions.count - 1, replies.count == questions.count else { return }
                completion(SentinelReport(address: replies[0], master: replies[1], replicas: replies[2]))
            }
        }
    }
}
