/// Every metric the gateway exposes: the list to look things up in. Names are part of the contract.
///
/// No label ever holds a userId, a key or anything else that a caller can make up.
public enum Instrument: String, CaseIterable, Sendable {
    case messages = "skillgate_messages_total"
    case messageDuration = "skillgate_message_duration_seconds"
    case messagesInFlight = "skillgate_messages_in_flight"
    case upstreamDuration = "skillgate_upstream_duration_seconds"
    case upstreamQueue = "skillgate_upstream_queue_seconds"
    case upstreamConnections = "skillgate_upstream_connections"
    case upstreamInFlightLimit = "skillgate_upstream_in_flight_limit"
    case upstreamInFlightMaximum = "skillgate_upstream_in_flight_maximum"
    case upstreamSkillInFlightLimit = "skillgate_upstream_skill_in_flight_limit"
    case circuitState = "skillgate_circuit_state"
    case upstreamAttempts = "skillgate_upstream_attempts_total"
    case tokenFetches = "skillgate_token_fetches_total"
    case tokenFetchDuration = "skillgate_token_fetch_duration_seconds"
    case tokenExpiry = "skillgate_token_expiry_timestamp_seconds"
    case tokenForcedRenewals = "skillgate_token_forced_renewals_total"
    case regionsLearned = "skillgate_regions_learned_total"
    case usersGone = "skillgate_users_gone"
    case idempotencyBegins = "skillgate_idempotency_begins_total"
    case idempotencyRecords = "skillgate_idempotency_records"
    case idempotencyEvictions = "skillgate_idempotency_evictions_total"
    case idempotencyCallerEvictions = "skillgate_idempotency_caller_evictions_total"
    case idempotencyRetention = "skillgate_idempotency_retention_seconds"
    case idempotencyStoreFailures = "skillgate_idempotency_store_failures_total"
    case idempotencyStoreUp = "skillgate_idempotency_store_up"
    case idempotencyStoreSettingOK = "skillgate_idempotency_store_setting_ok"
    case idempotencyStoreWipes = "skillgate_idempotency_store_wipes_total"
    case idempotencyStoreHeld = "skillgate_idempotency_store_held"
    case idempotencyStoreClockJumps = "skillgate_idempotency_store_clock_jumps_total"
    case idempotencyBacklog = "skillgate_idempotency_settlement_backlog"
    case outcomeUnknown = "skillgate_outcome_unknown_total"
    case rejected = "skillgate_rejected_total"
    case connectionsTurnedAway = "skillgate_connections_turned_away_total"
    case logLinesDropped = "skillgate_log_lines_dropped_total"
    case configurationReloads = "skillgate_configuration_reloads_total"
    case configurationLastReloadSuccess = "skillgate_configuration_last_reload_success_timestamp_seconds"
    case certificateExpiry = "skillgate_tls_certificate_expiry_timestamp_seconds"
    case configurationLastReloadSuccessful = "skillgate_configuration_last_reload_successful"
    case state = "skillgate_state"
    case buildInfo = "skillgate_build_info"
    case processCPU = "process_cpu_seconds_total"
    case processResidentMemory = "process_resident_memory_bytes"
    case processVirtualMemory = "process_virtual_memory_bytes"
    case processOpenFiles = "process_open_fds"
    case processMaximumFiles = "process_max_fds"
    case processStart = "process_start_time_seconds"

    public enum Kind: String, Sendable { case counter, gauge, histogram }

    public var kind: Kind {
        switch self {
        case .messages, .upstreamAttempts, .regionsLearned, .tokenFetches, .tokenForcedRenewals, .idempotencyBegins,
            .idempotencyEvictions, .idempotencyCallerEvictions, .connectionsTurnedAway, .idempotencyStoreFailures,
            .idempotencyStoreWipes, .idempotencyStoreClockJumps, .outcomeUnknown, .rejected,
            .logLinesDropped, .configurationReloads, .processCPU:
            .counter
        case .messageDuration, .upstreamDuration, .upstreamQueue, .tokenFetchDuration: .histogram
        case .messagesInFlight, .upstreamConnections, .upstreamInFlightLimit, .upstreamInFlightMaximum,
            .upstreamSkillInFlightLimit, .circuitState, .usersGone, .tokenExpiry,
            .idempotencyRecords,
            .idempotencyRetention, .idempotencyStoreUp, .idempotencyStoreSettingOK, .idempotencyStoreHeld,
            .idempotencyBacklog,
            .buildInfo, .configurationLastReloadSuccess, .configurationLastReloadSuccessful, .certificateExpiry, .state,
            .processResidentMemory, .processVirtualMemory,
            .processOpenFiles, .processMaximumFiles,
            .processStart:
            .gauge
        }
    }

    public var help: String {
        switch self {
        case .messages: "Messages answered, by who answered: upstream, gateway (a refusal) or replay."
        case .messageDuration: "From a message's last byte to its answer."
        case .messagesInFlight: "Messages that wait for their answer."
        case .upstreamDuration: "From writing a message to a region's answer."
        case .upstreamQueue: "How long messages waited for a connection to their region, those that had to."
        case .upstreamConnections: "Connections to a region, by state."
        case .upstreamInFlightLimit:
            "Messages that may be in flight to a region at once; fewer after 503 and time-outs."
        case .upstreamInFlightMaximum: "Messages that may be in flight to a region at once while nobody complains."
        case .upstreamSkillInFlightLimit:
            "Messages of a skill that may be in flight to a region at once; fewer than the region takes after 429."
        case .circuitState: "Whether messages are sent to a region: 0 yes, 1 a probe says whether it answers, 2 no."
        case .upstreamAttempts: "Writes of a message to a connection, by reason, and connections found dead before."
        case .tokenFetches: "Requests to the token endpoint, by result."
        case .tokenFetchDuration: "Duration of requests to the token endpoint."
        case .tokenExpiry: "When the token at hand stops being used (Unix time)."
        case .tokenForcedRenewals: "Fetches because Amazon refused a token that had not expired."
        case .regionsLearned: "Users whose region was learned, by how."
        case .usersGone: "Users that no region knew, and whose messages are answered 404 here for a while."
        case .idempotencyBegins: "Claims of an idempotency key, by what they found."
        case .idempotencyRecords: "Idempotency records at hand, by state."
        case .idempotencyEvictions: "Idempotency records removed, by reason."
        case .idempotencyCallerEvictions: "Idempotency records of a caller removed to make room for others."
        case .idempotencyRetention:
            "For how long accepted messages are remembered here; less than configured while a full store evicts."
        case .idempotencyStoreFailures: "Commands to the shared store that failed, by what they were for."
        case .idempotencyStoreUp: "Whether the shared store can be reached from every event loop."
        case .idempotencyStoreSettingOK: "Whether a setting of the store's server keeps records safe."
        case .idempotencyStoreWipes: "Times the shared store was found to have lost its records."
        case .idempotencyStoreHeld:
            "Whether nothing is sent under new keys, since the shared store may have forgotten older ones."
        case .idempotencyStoreClockJumps:
            "Times the clock of the shared store's server went another way than time does."
        case .idempotencyBacklog: "Settlements that the shared store has not confirmed yet."
        case .outcomeUnknown: "Messages that were sent and of which nobody knows whether they were accepted."
        case .rejected: "Requests the gateway answered itself, by problem."
        case .connectionsTurnedAway: "Connections closed because too many of their address were open."
        case .logLinesDropped: "Lines of the access and audit logs that could not be written in time, or at all."
        case .configurationReloads: "Attempts to load the configuration anew."
        case .configurationLastReloadSuccess: "When the configuration in force was loaded."
        case .certificateExpiry: "When a certificate that is in use ends (Unix time)."
        case .configurationLastReloadSuccessful: "Whether the configuration on disk is the one in force."
        case .state:
            "1 for the state that the gateway is in, as on the status page: ready, degraded, not ready, draining."
        case .buildInfo: "Always 1; the labels say what is running."
        case .processCPU: "User and system CPU time."
        case .processResidentMemory: "Resident memory."
        case .processVirtualMemory: "Virtual memory."
        case .processOpenFiles: "Open file descriptors."
        case .processMaximumFiles: "The most file descriptors that may be open."
        case .processStart: "When the process started (Unix time)."
        }
    }
}
