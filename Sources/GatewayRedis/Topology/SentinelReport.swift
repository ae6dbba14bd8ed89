/// What one Sentinel says of the master that it watches.
struct SentinelReport: Equatable {
    var address: RedisConfiguration.Address
    /// All that it knows.
    var replicas: Set<RedisConfiguration.Address>
    /// Those that it could make the master, as far as it sees.
    var candidates: Set<RedisConfiguration.Address>
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
                agreed.replicas.formUnion(vote.replicas)
                agreed.candidates.formUnion(vote.candidates)
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
        (self.replicas, candidates) = ([], [])
        guard case .array(let all) = replicas else { return }
        for replica in all.prefix(1000) {
            guard let host = replica.member("ip")?.text, let port = replica.member("port")?.text.flatMap({ Int($0) })
            else { continue }
            // During a failover the list still holds the new master.
            let replicaAddress = RedisConfiguration.Address(host: host, port: port)
            guard replicaAddress != self.address else { continue }
            self.replicas.insert(replicaAddress)
            if Self.canBePromoted(replica) { candidates.insert(replicaAddress) }
        }
    }

    init(
        address: RedisConfiguration.Address, replicas: Set<RedisConfiguration.Address>,
        candidates: Set<RedisConfiguration.Address>, downAfter: Duration
    ) {
        self.address = address
        self.replicas = replicas
        self.candidates = candidates
        self.downAfter = downAfter
    }

    /// How many replicas have to confirm a write so that every candidate has it. The master counts confirmations and not who
    /// gives them, so that one which is cut off together with the master could stand for one that can be promoted: all that are connected
    /// count, and all that can be promoted.
    ///
    /// - Parameter connected: as the master says; nil if it does not.
    func confirmations(connected: Set<RedisConfiguration.Address>?) -> Int {
        (connected?.union(candidates) ?? replicas).count
    }

    /// As Sentinel chooses: not one that is down, or cut off from it, or must never be (Redis documentation, Sentinel, "Replica
    /// selection and priority").
    private static func canBePromoted(_ replica: RESPValue) -> Bool {
        let flags = (replica.member("flags")?.text ?? "").split(separator: ",")
        guard !flags.contains(where: { ["s_down", "o_down", "disconnected"].contains($0) }) else { return false }
        return replica.member("slave-priority")?.text != "0"
    }
}
