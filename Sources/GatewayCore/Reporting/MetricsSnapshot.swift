/// All that a scrape shows, as it stood at one moment.
package struct MetricsSnapshot: Sendable {
    package struct Token: Sendable {
        package var skill: String
        package var statistics: TokenCache.Statistics
        /// Unix times; nil while there is no token.
        package var expiresAt: Double?
        package var fetchedAt: Double?

        package init(skill: String, statistics: TokenCache.Statistics, expiresAt: Double?, fetchedAt: Double?) {
            self.skill = skill
            self.statistics = statistics
            self.expiresAt = expiresAt
            self.fetchedAt = fetchedAt
        }
    }

    package struct Build: Sendable {
        package var version: String
        package var revision: String
        package var swift: String

        package init(version: String, revision: String, swift: String) {
            self.version = version
            self.revision = revision
            self.swift = swift
        }
    }

    /// Configurations that were loaded while the gateway ran.
    package struct Reloads: Sendable {
        package var succeeded = 0
        package var failed = 0
        /// Unix time at which the configuration in force was loaded.
        package var lastSuccess: Double
        /// Whether what is on disk is not what is in force.
        package var isLastRefused = false

        package init(lastSuccess: Double) {
            self.lastSuccess = lastSuccess
        }
    }

    /// A store that outlives the process, as the gateway sees it.
    package struct SharedStore: Sendable {
        /// Files of records.
        package struct Files: Sendable {
            package var bytes: Int
            /// Ends that were not written whole, at the start.
            package var tornEnds: Int

            package init(bytes: Int, tornEnds: Int) {
                self.bytes = bytes
                self.tornEnds = tornEnds
            }
        }

        package var kind: StoreKind
        /// Nil where records are on a server.
        package var files: Files?
        package var statistics = SharedStoreStatistics()
        package var isUp: Bool
        /// By name; those that are known.
        package var settings: [(name: String, isSafe: Bool)] = []
        package var wipes = 0
        package var isHeld = false
        package var clockJumps = 0

        /// What keeps it from holding what it promises, for people.
        package var problems: [String] {
            var problems = settings.filter { !$0.isSafe }.map { "the setting \($0.name) can lose records" }
            if isHeld { problems.append("it has lost records: nothing is sent under new keys") }
            if statistics.isFull { problems.append("it is full") }
            if statistics.backlog > 0 {
                problems.append("outcomes that wait to be written to it: \(statistics.backlog)")
            }
            return problems
        }

        package init(_ kind: StoreKind, isUp: Bool) {
            self.kind = kind
            self.isUp = isUp
        }
    }

    package var forwarding = ForwardingInstruments()
    package var upstream = ByRegion { _ in UpstreamStatus() }
    /// Of this process's own memory; nil where no record is kept there.
    package var records: MemoryIdempotencyStore.Statistics?
    /// Of these records, by the caller's place among the names: how many went to make room.
    package var recordsEvicted: [Int] = []
    /// Nil where there is none.
    package var sharedStore: SharedStore?
    /// How long a record is kept, as configured.
    package var retention = Duration.zero
    /// How long one is kept really: less while a full store evicts.
    package var retentionKept: Duration { max(.zero, retention - (records?.evictedEarlyBy ?? .zero)) }
    package var tokens: [Token] = []
    package var issuers: [Issuer] = []
    /// What an operator has paused.
    package var paused: [Pauses.Subject] = []
    /// Nil: no caller has a rate that counts over all replicas.
    package var sharedRates: SharedRates.Statistics?
    /// Of the skills that Amazon throttles: messages a second.
    package var quotas: [(skill: String, region: Region, perSecond: Double)] = []
    /// Nil: none are delivered.
    package var events: Events?
    package var traces: Traces?
    package var users = UserRegions.Statistics()
    /// By log; those that are kept.
    package var droppedLogLines: [(log: String, count: Int)] = []
    /// The states that the gateway can be in, and whether it is.
    package var states: [(name: String, isCurrent: Bool)] = []
    package var listeners = ListenerStatistics()
    package var reloads: Reloads?
    /// Names by their place in the configuration: what the series of messages are labelled with.
    package var callers: [String]
    package var skills: [String]
    /// Rules of callers that are only reported.
    package var reportedRules: [ForwardingInstruments.ReportedSeries] = []
    /// Labels of the skills that report messages, or did.
    package var reportingSkills: Set<Int> = []
    /// Unix times, by what the certificate is for; those that there are.
    package var certificateExpiries: [(use: String, time: Int)] = []
    package var build: Build
    package var process: ProcessStatistics?

    package init(callers: [String], skills: [String], build: Build) {
        self.callers = callers
        self.skills = skills
        self.build = build
    }

    /// What stands for a caller, skill or region that was never settled.
    private static let none = "none"

    package func render(_ format: MetricsPage.Format) -> String {
        var page = MetricsPage(format)
        renderMessages(to: &page)
        renderUpstream(to: &page)
        renderTokens(to: &page)
        renderIssuers(to: &page)
        page.family(.paused)
        for subject in paused { page.sample(.paused, [("kind", subject.kind), ("name", subject.name)], 1) }
        if let sharedRates { Self.render(sharedRates, to: &page) }
        renderEvents(to: &page)
        renderTraces(to: &page)
        page.family(.regionsLearned)
        for source in UserRegions.Source.allCases {
            page.sample(.regionsLearned, [("how", source.rawValue)], users.learned[source] ?? 0)
        }
        page.family(.usersGone)
        page.sample(.usersGone, [], users.gone)
        renderDeliveries(to: &page)
        renderIdempotency(to: &page)
        page.family(.rejected)
        for problem in Problem.allCases {
            page.sample(.rejected, [("reason", problem.rawValue)], forwarding.rejected[problem] ?? 0)
        }
        page.family(.requestsReported)
        // A series that only appears with its first request hides that one from `rate` and `increase`.
        let unbroken = reportedRules.filter { forwarding.reported[$0] == nil }.map { ($0, 0) }
        for (series, count) in forwarding.reported.map({ ($0, $1) }) + unbroken {
            page.sample(
                .requestsReported, [("caller", name(series.caller, in: callers)), ("rule", series.rule.rawValue)], count
            )
        }
        listeners.render(to: &page)
        page.family(.logLinesDropped)
        for (log, count) in droppedLogLines { page.sample(.logLinesDropped, [("log", log)], count) }
        if let reloads { render(reloads, to: &page) }
        page.family(.certificateExpiry)
        for (use, time) in certificateExpiries { page.sample(.certificateExpiry, [("use", use)], time) }
        page.family(.state)
        for (name, isCurrent) in states { page.sample(.state, [("state", name)], isCurrent ? 1 : 0) }
        page.family(.buildInfo)
        page.sample(
            .buildInfo, [("version", build.version), ("revision", build.revision), ("swift", build.swift)], 1)
        process?.render(to: &page)
        return page.finished()
    }

    private func renderMessages(to page: inout MetricsPage) {
        page.family(.messages)
        for (series, count) in forwarding.messages {
            page.sample(
                .messages,
                [
                    ("caller", name(series.caller, in: callers)), ("skill", name(series.skill, in: skills)),
                    ("region", series.region?.name ?? Self.none), ("status", String(series.status)),
                    ("source", series.source.rawValue),
                ], count)
        }
        page.family(.messageDuration)
        for region in [nil] + Region.allCases.map(Optional.some) {
            for source in Response.Source.allCases {
                let histogram = forwarding.messageDuration(region, source)
                guard histogram.count > 0 else { continue }
                page.histogram(
                    .messageDuration, [("region", region?.name ?? Self.none), ("source", source.rawValue)], histogram)
            }
        }
        page.family(.messagesInFlight)
        page.sample(.messagesInFlight, [], forwarding.messagesInFlight)
    }

    private func renderUpstream(to page: inout MetricsPage) {
        page.family(.upstreamDuration)
        for (series, histogram) in forwarding.upstreamDurations {
            page.histogram(
                .upstreamDuration, [("region", series.region.name), ("status", String(series.status))], histogram)
        }
        page.family(.upstreamQueue)
        for region in Region.allCases {
            page.histogram(.upstreamQueue, [("region", region.name)], forwarding.upstreamQueue[region])
        }
        page.family(.upstreamConnections)
        for region in Region.allCases {
            let counts = upstream[region].connections
            for (state, count) in [("idle", counts.idle), ("busy", counts.leased), ("connecting", counts.connecting)] {
                page.sample(.upstreamConnections, [("region", region.name), ("state", state)], count)
            }
        }
        page.family(.upstreamConnectionsEstablished)
        for region in Region.allCases {
            for version in HTTPVersion.allCases {
                page.sample(
                    .upstreamConnectionsEstablished, [("region", region.name), ("protocol", version.rawValue)],
                    upstream[region].established[version] ?? 0)
            }
        }
        page.family(.upstreamInFlight)
        for region in Region.allCases {
            page.sample(.upstreamInFlight, [("region", region.name)], upstream[region].inFlight)
        }
        page.family(.upstreamInFlightLimit)
        for region in Region.allCases {
            page.sample(.upstreamInFlightLimit, [("region", region.name)], upstream[region].inFlightLimit)
        }
        page.family(.upstreamInFlightMaximum)
        for region in Region.allCases {
            page.sample(.upstreamInFlightMaximum, [("region", region.name)], upstream[region].inFlightMaximum)
        }
        page.family(.upstreamSkillInFlightLimit)
        for region in Region.allCases {
            for (label, skill) in skills.enumerated() {
                page.sample(
                    .upstreamSkillInFlightLimit, [("region", region.name), ("skill", skill)],
                    upstream[region].skillLimits[label] ?? upstream[region].inFlightLimit)
            }
        }
        page.family(.upstreamSkillQuota)
        for quota in quotas {
            page.sample(
                .upstreamSkillQuota, [("region", quota.region.name), ("skill", quota.skill)], quota.perSecond)
        }
        page.family(.circuitState)
        for region in Region.allCases {
            page.sample(.circuitState, [("region", region.name)], upstream[region].circuit.rawValue)
        }
        page.family(.upstreamAttempts)
        for region in Region.allCases {
            for reason in ForwardingInstruments.AttemptReason.allCases {
                page.sample(
                    .upstreamAttempts, [("region", region.name), ("reason", reason.rawValue)],
                    forwarding.upstreamAttempts[region][reason])
            }
        }
        page.family(.outcomeUnknown)
        for region in Region.allCases {
            page.sample(.outcomeUnknown, [("region", region.name)], forwarding.outcomeUnknown[region])
        }
    }

    private func renderTokens(to page: inout MetricsPage) {
        page.family(.tokenFetches)
        for token in tokens {
            let results = [.success] + TokenFetchFailure.Reason.allCases.map(TokenCache.FetchResult.failure)
            for result in results {
                page.sample(
                    .tokenFetches, [("skill", token.skill), ("result", result.label)],
                    token.statistics.fetches[result] ?? 0)
            }
        }
        page.family(.tokenFetchDuration)
        var durations = Histogram(bounds: Histogram.tokenFetchSeconds)
        for token in tokens { durations.add(token.statistics.fetchDurations) }
        page.histogram(.tokenFetchDuration, [], durations)
        page.family(.tokenExpiry)
        for token in tokens {
            if let expiresAt = token.expiresAt { page.sample(.tokenExpiry, [("skill", token.skill)], expiresAt) }
        }
        page.family(.tokenForcedRenewals)
        for token in tokens {
            page.sample(.tokenForcedRenewals, [("skill", token.skill)], token.statistics.forcedRenewals)
        }
    }

    private func renderDeliveries(to page: inout MetricsPage) {
        let deliveries = skills.enumerated().filter { reportingSkills.contains($0.offset) }.map {
            (name: $1, counts: forwarding.deliveries.skill($0))
        }
        page.family(.receipts)
        for skill in deliveries {
            for report in DeliveryInstruments.Report.allCases {
                page.sample(
                    .receipts, [("skill", skill.name), ("result", report.rawValue)],
                    skill.counts.reports[report] ?? 0)
            }
        }
        page.family(.deliveryDuration)
        for skill in deliveries { page.histogram(.deliveryDuration, [("skill", skill.name)], skill.counts.seconds) }
        page.family(.messagesDue)
        for skill in deliveries { page.sample(.messagesDue, [("skill", skill.name)], skill.counts.due) }
        page.family(.messagesUnreceived)
        for skill in deliveries { page.sample(.messagesUnreceived, [("skill", skill.name)], skill.counts.unreceived) }
    }

    private func renderIdempotency(to page: inout MetricsPage) {
        page.family(.idempotencyKeys)
        for source in IdempotencyKeySource.Label.allCases {
            page.sample(.idempotencyKeys, [("source", source.rawValue)], forwarding.messages(keyedFrom: source))
        }
        page.sample(.idempotencyKeys, [("source", Self.none)], forwarding.messages(keyedFrom: nil))
        page.family(.idempotencyClaims)
        let stores: [StoreKind] = (records == nil ? [] : [.memory]) + (sharedStore.map { [$0.kind] } ?? [])
        for store in stores {
            for outcome in ForwardingInstruments.ClaimOutcomeLabel.allCases {
                page.sample(
                    .idempotencyClaims, [("store", store.rawValue), ("outcome", outcome.rawValue)],
                    forwarding.idempotencyClaims[store, outcome])
            }
        }
        if let records { render(records, to: &page) }
        if let sharedStore { render(sharedStore, to: &page) }
    }

    private func render(_ records: MemoryIdempotencyStore.Statistics, to page: inout MetricsPage) {
        page.family(.idempotencyRecords)
        for (state, count) in [
            ("sending", records.sending), ("unknown", records.unknown), ("accepted", records.accepted),
        ] {
            page.sample(.idempotencyRecords, [("state", state)], count)
        }
        page.family(.idempotencyEvictions)
        page.sample(.idempotencyEvictions, [("reason", "expired")], records.expired)
        page.sample(.idempotencyEvictions, [("reason", "full")], records.evicted)
        page.family(.idempotencyCallerEvictions)
        for (index, caller) in callers.enumerated() {
            let count = index < recordsEvicted.count ? recordsEvicted[index] : 0
            page.sample(.idempotencyCallerEvictions, [("caller", caller)], count)
        }
        page.family(.idempotencyRetention)
        page.sample(.idempotencyRetention, [], retentionKept.inSeconds)
    }

    private func render(_ store: SharedStore, to page: inout MetricsPage) {
        page.family(.idempotencyStoreFailures)
        for operation in SharedStoreStatistics.Operation.allCases {
            page.sample(
                .idempotencyStoreFailures, [("operation", operation.rawValue)],
                store.statistics.failures[operation] ?? 0)
        }
        page.family(.idempotencyStoreUp)
        page.sample(.idempotencyStoreUp, [], store.isUp ? 1 : 0)
        page.family(.idempotencyBacklog)
        page.sample(.idempotencyBacklog, [], store.statistics.backlog)
        if let files = store.files { render(files, to: &page) } else { renderServer(store, to: &page) }
    }

    private func render(_ files: SharedStore.Files, to page: inout MetricsPage) {
        page.family(.idempotencyFileBytes)
        page.sample(.idempotencyFileBytes, [], files.bytes)
        page.family(.idempotencyTornEnds)
        page.sample(.idempotencyTornEnds, [], files.tornEnds)
    }

    private func renderServer(_ store: SharedStore, to page: inout MetricsPage) {
        page.family(.idempotencyStoreSettingOK)
        for (name, isSafe) in store.settings {
            page.sample(.idempotencyStoreSettingOK, [("setting", name)], isSafe ? 1 : 0)
        }
        page.family(.idempotencyStoreWipes)
        page.sample(.idempotencyStoreWipes, [], store.wipes)
        page.family(.idempotencyStoreHeld)
        page.sample(.idempotencyStoreHeld, [], store.isHeld ? 1 : 0)
        page.family(.idempotencyStoreClockJumps)
        page.sample(.idempotencyStoreClockJumps, [], store.clockJumps)
    }

    private func render(_ reloads: Reloads, to page: inout MetricsPage) {
        page.family(.configurationReloads)
        page.sample(.configurationReloads, [("result", "success")], reloads.succeeded)
        page.sample(.configurationReloads, [("result", "failure")], reloads.failed)
        page.family(.configurationLastReloadSuccessful)
        page.sample(.configurationLastReloadSuccessful, [], reloads.isLastRefused ? 0 : 1)
        page.family(.configurationLastReloadSuccess)
        page.sample(.configurationLastReloadSuccess, [], reloads.lastSuccess)
    }

    private func name(_ index: Int?, in names: [String]) -> String {
        guard let index, names.indices.contains(index) else { return Self.none }
        return names[index]
    }
}

/// What the operating system says of this process.
package struct ProcessStatistics: Sendable {
    package var cpuSeconds: Double
    package var residentBytes: Int
    package var virtualBytes: Int
    package var openFiles: Int
    package var maximumFiles: Int
    /// Unix time.
    package var startedAt: Double

    package init(
        cpuSeconds: Double, residentBytes: Int, virtualBytes: Int, openFiles: Int, maximumFiles: Int,
        startedAt: Double
    ) {
        self.cpuSeconds = cpuSeconds
        self.residentBytes = residentBytes
        self.virtualBytes = virtualBytes
        self.openFiles = openFiles
        self.maximumFiles = maximumFiles
        self.startedAt = startedAt
    }

    func render(to page: inout MetricsPage) {
        page.family(.processCPU)
        page.sample(.processCPU, [], cpuSeconds)
        page.family(.processResidentMemory)
        page.sample(.processResidentMemory, [], residentBytes)
        page.family(.processVirtualMemory)
        page.sample(.processVirtualMemory, [], virtualBytes)
        page.family(.processOpenFiles)
        page.sample(.processOpenFiles, [], openFiles)
        page.family(.processMaximumFiles)
        page.sample(.processMaximumFiles, [], maximumFiles)
        page.family(.processStart)
        page.sample(.processStart, [], startedAt)
    }
}
