/// Every metric the gateway exposes: the list to look things up in. Names are part of the contract.
///
/// No label ever holds a userId, a key or anything else that a caller can make up.
package enum Instrument: String, CaseIterable, Sendable {
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
    case idempotencyClaims = "skillgate_idempotency_begins_total"
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

    package enum Kind: String, Sendable { case counter, gauge, histogram }

    package var kind: Kind {
        switch self {
        case .messages, .upstreamAttempts, .regionsLearned, .tokenFetches, .tokenForcedRenewals, .idempotencyClaims,
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

    package var help: String {
        switch self {
        case .messages: "Answered messages, by source of the response: upstream, gateway (a refusal) or replay."
        case .messageDuration: "Time from a message's last byte to its response."
        case .messagesInFlight: "Messages awaiting a response."
        case .upstreamDuration: "Time from writing a message to a region's response."
        case .upstreamQueue: "Time that messages waited for a connection to their region, if they had to wait."
        case .upstreamConnections: "Connections to a region, by state."
        case .upstreamInFlightLimit:
            "Current in-flight limit of a region; lowered after 503 and timeouts."
        case .upstreamInFlightMaximum: "In-flight limit of a region when it is not lowered."
        case .upstreamSkillInFlightLimit:
            "In-flight limit of a skill in a region; lower than the region's limit after 429."
        case .circuitState: "State of a region's circuit breaker: 0 closed, 1 half-open, 2 open."
        case .upstreamAttempts: "Writes of a message to a connection, by reason, including connections found dead."
        case .tokenFetches: "Requests to the token endpoint, by result."
        case .tokenFetchDuration: "Duration of requests to the token endpoint."
        case .tokenExpiry: "When the current token stops being used (Unix time)."
        case .tokenForcedRenewals: "Token fetches after Amazon refused a token that had not expired."
        case .regionsLearned: "Users whose region was learned, by how it was learned."
        case .usersGone: "Users unknown to every region, whose messages the gateway answers with 404 for a while."
        case .idempotencyClaims: "Claims of an idempotency key, by outcome."
        case .idempotencyRecords: "Idempotency records in this process's memory, by state."
        case .idempotencyEvictions: "Idempotency records removed, by reason."
        case .idempotencyCallerEvictions: "Idempotency records of a caller removed to make room for others."
        case .idempotencyRetention:
            "How long accepted messages are remembered in memory; shorter than configured while a full store evicts."
        case .idempotencyStoreFailures: "Failed commands to the shared store, by operation."
        case .idempotencyStoreUp: "Whether the shared store can be reached from every event loop."
        case .idempotencyStoreSettingOK: "Whether a setting of the store's server keeps records safe."
        case .idempotencyStoreWipes: "Times the shared store was found to have lost its records."
        case .idempotencyStoreHeld:
            "Whether nothing is sent under new keys because the shared store may have lost older ones."
        case .idempotencyStoreClockJumps:
            "Times the clock of the shared store's server jumped."
        case .idempotencyBacklog: "Settlements that the shared store has not confirmed yet."
        case .outcomeUnknown: "Messages that were sent and whose outcome is unknown."
        case .rejected: "Requests the gateway answered itself, by problem."
        case .connectionsTurnedAway: "Connections closed because too many from the same address were open."
        case .logLinesDropped: "Lines of the access and audit logs that could not be written in time, or at all."
        case .configurationReloads: "Attempts to reload the configuration, by result."
        case .configurationLastReloadSuccess: "When the configuration in force was loaded (Unix time)."
        case .certificateExpiry: "When a certificate in use expires (Unix time)."
        case .configurationLastReloadSuccessful: "Whether the configuration on disk is the one in force."
        case .state:
            "1 for the gateway's current state, as on the status page: ready, degraded, not ready or draining."
        case .buildInfo: "Always 1; the labels identify the build."
        case .processCPU: "User and system CPU time."
        case .processResidentMemory: "Resident memory."
        case .processVirtualMemory: "Virtual memory."
        case .processOpenFiles: "Open file descriptors."
        case .processMaximumFiles: "Maximum number of open file descriptors."
        case .processStart: "When the process started (Unix time)."
        }
    }
}
