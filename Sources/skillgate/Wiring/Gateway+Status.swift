import GatewayAdmin
import GatewayCore
import Glibc
import NIOCore

extension Gateway {
    /// What the status page shows now.
    func status(history: [TrafficHistory.Point], recent: RecentTraffic) async throws -> StatusReport {
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
        let minutes = recent.regions()
        return StatusReport(
            time: now, startedAt: snapshot.process?.startedAt ?? now, version: Build.version,
            host: ThisProcess.hostName,
            readiness: readiness,
            inFlight: snapshot.forwarding.messagesInFlight, replayed: replayed,
            refused: refused,
            regions: Region.allCases.map { Self.report($0, snapshot, answers: answers[$0], minutes[$0]) },
            callers: callers(snapshot, recent),
            skills: zip(readiness.skills, snapshot.tokens).map { Self.report($0, $1, now: now) },
            deliveries: skills.filter { $0.receiptMember != nil }.map {
                StatusReport.Delivery(skill: $0.name, snapshot.forwarding.deliveries.skill($0.label))
            },
            store: Self.report(readiness.store, snapshot), usersGone: snapshot.users.gone, problems: recentProblems,
            history: history)
    }

    private static func report(
        _ region: Region, _ snapshot: MetricsSnapshot, answers: [String: Int], _ minute: RecentTraffic.Region
    ) -> StatusReport.Region {
        let status = snapshot.upstream[region]
        let durations = snapshot.forwarding.messageDuration(region, .upstream)
        return StatusReport.Region(
            name: region.name, status: status,
            skillLimits: Dictionary(uniqueKeysWithValues: status.skillLimits.map { (snapshot.skills[$0], $1) }),
            answers: answers, median: durations.quantile(0.5), p99: durations.quantile(0.99),
            outcomeUnknown: snapshot.forwarding.outcomeUnknown[region], lastMinute: .init(minute))
    }

    /// Those that may call, and those that have been taken out of the configuration and were seen in the last minute.
    private func callers(_ snapshot: MetricsSnapshot, _ recent: RecentTraffic) -> [StatusReport.Caller] {
        let traffic = recent.callers()
        let inFlight = callerMessagesInFlight
        return snapshot.callers.enumerated().compactMap { label, name in
            guard inFlight[label] != nil || traffic[label] != nil else { return nil }
            let limited = inFlight[label] ?? nil
            return StatusReport.Caller(
                name: name, traffic: traffic[label] ?? .init(), seconds: recent.span,
                inFlight: limited?.current, maximumInFlight: limited?.maximum,
                lastSeen: recent.lastSeen[label])
        }
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
