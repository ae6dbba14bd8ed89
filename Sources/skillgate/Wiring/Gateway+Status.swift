import GatewayAdmin
import GatewayCore
import NIOCore

extension Gateway {
    /// What the status page shows now.
    func status(history: [TrafficHistory.Point]) async throws -> StatusReport {
        let snapshot = try await metrics()
        let readiness = readiness(snapshot.upstream, snapshot.sharedStore, history)
        let now = UnixTime.now()
        var replayed = 0
        var refused = 0
        var answers = ByRegion { _ in [String: Int]() }
        for (series, count) in snapshot.forwarding.messages {
            switch series.source {
            case .upstream:
                if let region = series.region { answers[region][String(series.status), default: 0] += count }
            case .gateway: refused += count
            case .replay: replayed += count
            }
        }
        return StatusReport(
            time: now, startedAt: snapshot.process?.startedAt ?? now, version: Build.version, readiness: readiness,
            inFlight: snapshot.forwarding.messagesInFlight, replayed: replayed,
            refused: refused,
            regions: Region.allCases.map { Self.report($0, snapshot, answers: answers[$0]) },
            skills: zip(readiness.skills, snapshot.tokens).map { Self.report($0, $1, now: now) },
            store: Self.report(readiness.store, snapshot), usersGone: snapshot.users.gone, problems: recentProblems,
            history: history)
    }

    private static func report(
        _ region: Region, _ snapshot: MetricsSnapshot, answers: [String: Int]
    ) -> StatusReport.Region {
        let status = snapshot.upstream[region]
        let durations = snapshot.forwarding.messageDuration(region, .upstream)
        return StatusReport.Region(
            name: region.name, circuit: "\(status.circuit)", inFlightLimit: status.inFlightLimit,
            connections: .init(
                idle: status.connections.idle, busy: status.connections.leased,
                connecting: status.connections.connecting),
            answers: answers, median: durations.quantile(0.5), p99: durations.quantile(0.99),
            outcomeUnknown: snapshot.forwarding.outcomeUnknown[region])
    }

    private static func report(
        _ state: Readiness.SkillState, _ token: MetricsSnapshot.Token, now: Double
    ) -> StatusReport.Skill {
        let fetches = token.statistics.fetches.values.reduce(0, +)
        return StatusReport.Skill(
            name: state.skill, token: state.token, age: token.fetchedAt.map { now - $0 },
            expiresIn: token.expiresAt.map { $0 - now }, fetches: fetches,
            failedFetches: fetches - (token.statistics.fetches[.success] ?? 0), problem: state.problem)
    }

    private static func report(_ store: Readiness.StoreState, _ snapshot: MetricsSnapshot) -> StatusReport.Store {
        let records = snapshot.records.map { $0.sending + $0.unknown + $0.accepted }
        return StatusReport.Store(
            kind: store.kind, up: store.up, records: records, retention: snapshot.retentionKept / .seconds(1),
            backlog: snapshot.sharedStore?.statistics.backlog, problems: store.problems)
    }
}
