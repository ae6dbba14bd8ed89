/// What one Sentinel says of the master that it watches.
struct SentinelReport: Equatable {
    var address: RedisConfiguration.Address
    /// Those that it could make the master, as far as it sees.
    var replicas: Int
    /// After so long without the master it takes it for gone.
    var downAfter: Duration

    /// What several of them say together: the most cautious of what those say who agree on the master. Nil if none is named by
    /// more than half of the Sentinels there are.
    ///
    /// - Parameter reports: of each Sentinel; nil for one that does not answer.
    static func agreement(_ reports: [SentinelReport?]) -> SentinelReport? {
        for candidate in reports.compactMap({ $0?.address }) {
            let votes = reports.compactMap { $0 }.filter { $0.address == candidate }
            guard votes.count * 2 > reports.count, var agreed = votes.first else { continue }
            for vote in votes {
                agreed.replicas = max(agreed.replicas, vote.replicas)
                agreed.downAfter = min(agreed.downAfter, vote.downAfter)
            }
            return agreed
        }
        return nil
    }

    /// - Parameters: replies to `SENTINEL GET-MASTER-ADDR-BY-NAME`, `MASTER` and `REPLICAS`; nil if the first says that the
    ///   master is not known.
    init?(address: RESPValue, master: RESPValue, replicas: RESPValue) {
        guard case .array(let elements) = address, elements.count == 2, let host = elements[0].text,
            let port = elements[1].text.flatMap({ Int($0) }), (1...65_535).contains(port)
        else { return nil }
        self.address = RedisConfiguration.Address(host: host, port: port)
        let milliseconds = master.member("down-after-milliseconds")?.text.flatMap { Int($0) } ?? 30_000
        downAfter = .milliseconds(min(max(milliseconds, 1), 3_600_000))
        self.replicas = 0
        guard case .array(let all) = replicas else { return }
        self.replicas = all.prefix(1000).count { Self.canBePromoted($0, besides: host, port) }
    }

    init(address: RedisConfiguration.Address, replicas: Int, downAfter: Duration) {
        self.address = address
        self.replicas = replicas
        self.downAfter = downAfter
    }

    /// As Sentinel chooses: not one that is down, or cut off from it, or must never be (Redis documentation, Sentinel, "Replica
    /// selection and priority"). During a failover the list still holds the new master.
    private static func canBePromoted(_ replica: RESPValue, besides host: String, _ port: Int) -> Bool {
        let flags = (replica.member("flags")?.text ?? "").split(separator: ",")
        guard !flags.contains(where: { ["s_down", "o_down", "disconnected"].contains($0) }) else { return false }
        guard replica.member("slave-priority")?.text != "0" else { return false }
        return replica.member("ip")?.text != host || replica.member("port")?.text != String(port)
    }
}
