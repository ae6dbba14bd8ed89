import GatewayAdmin
import GatewayCore
import GatewayFiles
import GatewayRedis
import GatewayServer
import GatewayUpstream
import NIOCore
import Synchronization

/// Totals over all event loops, for readiness and metrics.
extension Gateway {
    func readiness(history: [TrafficHistory.Point]) async throws -> Readiness {
        readiness(try await regionStatuses(), try await sharedStore(), history)
    }

    /// Derives readiness from the state of regions and shared store, and from recent traffic.
    func readiness(
        _ regions: ByRegion<UpstreamStatus>, _ store: MetricsSnapshot.SharedStore?, _ history: [TrafficHistory.Point]
    ) -> Readiness {
        let now = NIODeadline.now()
        let states = skills.map { skill in
            let statistics = skill.tokens.statistics()
            let isValid = statistics.expires.map { $0 > now } ?? false
            // While there is a token, most troubles have an end. A secret that is refused has none, and the token may have been revoked with it.
            let failure = statistics.lastFailure.flatMap { isValid && $0.reason != .invalidClient ? nil : $0 }
            return Readiness.SkillState(
                skill: skill.name, token: isValid ? "valid" : statistics.hasHadToken ? "expired" : "none",
                problem: failure?.text)
        }
        return Readiness(
            draining: isDraining.load(ordering: .relaxed), skills: states,
            regions: Region.allCases.map { .init(region: $0.name, circuit: regions[$0].circuit) },
            store: Readiness.StoreState(
                kind: records.kind.rawValue, up: store?.isUp ?? true,
                problems: store?.problems ?? []),
            trouble: RegionTrouble.all(in: history), issuers: issuerTroubles,
            paused: pauses.all,
            isReloadRefused: reloads.snapshot.isLastRefused)
    }

    /// A sentence for each issuer whose keys cannot be fetched.
    private var issuerTroubles: [String] {
        current.withLock { $0.reloadable.issuers }.statistics.filter(\.statistics.isFailing).map { name, statistics in
            "the keys of issuer \(name) cannot be fetched"
                + (statistics.keys == 0 ? ": its tokens are not accepted" : "; those from before are used")
        }
    }

    private func regionStatuses() async throws -> ByRegion<UpstreamStatus> {
        var sum = ByRegion { _ in UpstreamStatus() }
        let loops = try await onEachLoop { loop in ByRegion { loop.pools[$0].value.status } }
        for statuses in loops {
            for region in Region.allCases { sum[region].add(statuses[region]) }
        }
        return sum
    }

    /// Nil where records are in memory.
    private func sharedStore() async throws -> MetricsSnapshot.SharedStore? {
        guard records.kind != .memory else { return nil }
        var sum = MetricsSnapshot.SharedStore(records.kind, isUp: true)
        let stores = try await onEachLoop { loop in loop.store.map { ($0.value.statistics, $0.value.isUp) } }
        for case (let statistics, let isUp)? in stores {
            sum.statistics.add(statistics)
            if !isUp { sum.isUp = false }
        }
        if let folder = records.folder {
            sum.files = .init(bytes: folder.files.bytes, tornEnds: folder.loaded.tornEnds)
        }
        let health = records.health.current
        sum.wipes = health.wipes
        sum.isHeld = health.isHeld
        sum.clockJumps = health.clockJumps
        sum.settings = RedisHealth.Setting.allCases.compactMap { setting in
            health.settings[setting].map { (setting.rawValue, $0) }
        }
        return sum
    }

    /// The sum of the instruments of all event loops.
    func instruments() async throws -> ForwardingInstruments {
        var sum = ForwardingInstruments()
        for instruments in try await onEachLoop({ $0.forwarder.value.counted() }) { sum.add(instruments) }
        return sum
    }

    /// The newest first.
    var recentProblems: [StatusReport.Problem] { problems.recent }

    private var certificateExpiries: [(use: String, time: Int)] {
        let (tls, adminTLS) = current.withLock { ($0.listeners.compactMap(\.tls), $0.adminTLS) }
        let listeners = tls.map(\.expiry)
        let expiries = [
            ("listener", listeners.map(\.certificate).min()),
            ("client-authorities", listeners.compactMap(\.authorities).min()),
            ("client-revocation-lists", tls.compactMap(\.nextUpdateOfRevocations).min()),
            ("admin", adminTLS?.expiry.certificate),
            ("redis-client", redisCertificateExpiry),
        ]
        return expiries.compactMap { use, time in time.map { (use, $0) } }
    }

    func metrics() async throws -> MetricsSnapshot {
        let reloadable = current.withLock { $0.reloadable }
        var snapshot = MetricsSnapshot(
            callers: reloadable.callerNames, skills: reloadable.skillNames, build: Build.information)
        snapshot.forwarding = try await instruments()
        snapshot.reportingSkills = snapshot.forwarding.deliveries.skills.union(
            reloadable.skills.filter { $0.receiptMember != nil }.map(\.label))
        snapshot.reportedRules = reloadable.reportedRules
        snapshot.upstream = try await regionStatuses()
        snapshot.users = users.statistics(now: .now())
        let now = NIODeadline.now()
        let unixTime = UnixTime.now()
        snapshot.tokens = reloadable.skills.map { skill in
            let statistics = skill.tokens.statistics()
            func wallClock(_ deadline: NIODeadline) -> Double { unixTime + Double((deadline - now).nanoseconds) * 1e-9 }
            return MetricsSnapshot.Token(
                skill: skill.name, statistics: statistics, expiresAt: statistics.expires.map(wallClock),
                fetchedAt: statistics.fetched.map(wallClock))
        }
        snapshot.issuers = reloadable.issuers.statistics.map { name, statistics in
            let age = statistics.fetched.map { Duration(from: $0, to: now).inSeconds }
            return MetricsSnapshot.Issuer(name: name, statistics: statistics, fetchedAt: age.map { unixTime - $0 })
        }
        snapshot.paused = pauses.all
        snapshot.sharedRates = sharedRates?.statistics
        snapshot.events = events.snapshot
        snapshot.traces = traces.snapshot
        for skill in reloadable.skills {
            for region in Region.allCases {
                guard let perSecond = skill.quotas?[region].perSecond else { continue }
                snapshot.quotas.append((skill.name, region, perSecond))
            }
        }
        snapshot.sharedStore = try await sharedStore()
        snapshot.retention = configuration.idempotency.retention
        if records.keepsLocalRecords {
            snapshot.records = records.local.statistics(now: now)
            snapshot.recordsEvicted = records.local.evictedByCaller
        }
        snapshot.droppedLogLines = logs.droppedLines
        for listener in current.withLock({ $0.listeners }) { snapshot.listeners.add(try await listener.statistics()) }
        snapshot.reloads = reloads.snapshot
        snapshot.certificateExpiries = certificateExpiries
        snapshot.process = ProcessStatistics.current()
        return snapshot
    }
}
