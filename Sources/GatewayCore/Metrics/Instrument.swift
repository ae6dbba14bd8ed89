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
    case upstreamConnectionsEstablished = "skillgate_upstream_connections_established_total"
    case upstreamInFlight = "skillgate_upstream_in_flight"
    case upstreamInFlightLimit = "skillgate_upstream_in_flight_limit"
    case upstreamInFlightMaximum = "skillgate_upstream_in_flight_maximum"
    case upstreamSkillInFlightLimit = "skillgate_upstream_skill_in_flight_limit"
    case upstreamSkillQuota = "skillgate_upstream_skill_quota"
    case circuitState = "skillgate_circuit_state"
    case upstreamAttempts = "skillgate_upstream_attempts_total"
    case tokenFetches = "skillgate_token_fetches_total"
    case tokenFetchDuration = "skillgate_token_fetch_duration_seconds"
    case tokenExpiry = "skillgate_token_expiry_timestamp_seconds"
    case tokenForcedRenewals = "skillgate_token_forced_renewals_total"
    case issuerKeys = "skillgate_issuer_keys"
    case issuerKeyFetches = "skillgate_issuer_key_fetches_total"
    case issuerKeysFetched = "skillgate_issuer_keys_fetched_timestamp_seconds"
    case rateLeases = "skillgate_rate_leases_total"
    case rateShareRequests = "skillgate_rate_share_requests_total"
    case rateReplicas = "skillgate_rate_replicas"
    case events = "skillgate_events_total"
    case eventFailures = "skillgate_event_failures_total"
    case eventsQueued = "skillgate_events_queued"
    case eventsOldest = "skillgate_events_oldest_seconds"
    case spans = "skillgate_spans_total"
    case spanExportFailures = "skillgate_span_export_failures_total"
    case tracesQueued = "skillgate_traces_queued"
    case regionsLearned = "skillgate_regions_learned_total"
    case usersGone = "skillgate_users_gone"
    case receipts = "skillgate_receipts_total"
    case deliveryDuration = "skillgate_delivery_seconds"
    case messagesDue = "skillgate_messages_due_total"
    case messagesUnreceived = "skillgate_messages_unreceived_total"
    case idempotencyKeys = "skillgate_idempotency_keys_total"
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
    case idempotencyFileBytes = "skillgate_idempotency_file_bytes"
    case idempotencyTornEnds = "skillgate_idempotency_torn_ends"
    case outcomeUnknown = "skillgate_outcome_unknown_total"
    case rejected = "skillgate_rejected_total"
    case requestsReported = "skillgate_requests_reported_total"
    case connections = "skillgate_connections"
    case connectionsTurnedAway = "skillgate_connections_turned_away_total"
    case connectionsRevoked = "skillgate_connections_revoked_total"
    case connectionsProxyRefused = "skillgate_connections_proxy_refused_total"
    case http2Streams = "skillgate_http2_streams"
    case http2Resets = "skillgate_http2_resets_total"
    case http2Floods = "skillgate_http2_floods_total"
    case logLinesDropped = "skillgate_log_lines_dropped_total"
    case configurationReloads = "skillgate_configuration_reloads_total"
    case configurationLastReloadSuccess = "skillgate_configuration_last_reload_success_timestamp_seconds"
    case certificateExpiry = "skillgate_tls_certificate_expiry_timestamp_seconds"
    case configurationLastReloadSuccessful = "skillgate_configuration_last_reload_successful"
    case paused = "skillgate_paused"
    case state = "skillgate_state"
    case buildInfo = "skillgate_build_info"
    case processCPU = "process_cpu_seconds_total"
    case processResidentMemory = "process_resident_memory_bytes"
    case processVirtualMemory = "process_virtual_memory_bytes"
    case processOpenFiles = "process_open_fds"
    case processMaximumFiles = "process_max_fds"
    case processStart = "process_start_time_seconds"

    package enum Kind: String, Sendable { case counter, gauge, histogram }

    package struct Row: Sendable {
        package let kind: Kind
        /// Names of the labels of each of its samples.
        package let labels: [String]
        package let help: String

        fileprivate init(_ kind: Kind, _ labels: [String], _ help: String) {
            self.kind = kind
            self.labels = labels
            self.help = help
        }
    }

    // A row per metric.
    // swift-format-ignore
    package var row: Row {
        switch self {
        case .messages:                           Row(.counter,    ["caller", "skill", "region", "status", "source"], "Answered messages, by source of the response: upstream, gateway (a refusal) or replay.")
        case .messageDuration:                    Row(.histogram,  ["region", "source"],                              "Time from a message's last byte to its response.")
        case .messagesInFlight:                   Row(.gauge,      [],                                                "Messages awaiting a response.")
        case .upstreamDuration:                   Row(.histogram,  ["region", "status"],                              "Time from writing a message to a region's response.")
        case .upstreamQueue:                      Row(.histogram,  ["region"],                                        "Time that messages waited for a connection to their region, if they had to wait.")
        case .upstreamConnections:                Row(.gauge,      ["region", "state"],                               "Connections to a region, by state.")
        case .upstreamConnectionsEstablished:     Row(.counter,    ["region", "protocol"],                            "Connections to a region that were established, by protocol.")
        case .upstreamInFlight:                   Row(.gauge,      ["region"],                                        "Messages that have a connection to a region.")
        case .upstreamInFlightLimit:              Row(.gauge,      ["region"],                                        "Current in-flight limit of a region; lowered after 503 and timeouts.")
        case .upstreamInFlightMaximum:            Row(.gauge,      ["region"],                                        "In-flight limit of a region when it is not lowered.")
        case .upstreamSkillInFlightLimit:         Row(.gauge,      ["region", "skill"],                               "In-flight limit of a skill in a region; lower than the region's limit after 429.")
        case .upstreamSkillQuota:                 Row(.gauge,      ["region", "skill"],                               "Messages a second that a region seems to take of a skill that it answers 429.")
        case .circuitState:                       Row(.gauge,      ["region"],                                        "State of a region's circuit breaker: 0 closed, 1 half-open, 2 open.")
        case .upstreamAttempts:                   Row(.counter,    ["region", "reason"],                              "Writes of a message to a connection, by reason, including connections found dead.")
        case .tokenFetches:                       Row(.counter,    ["skill", "result"],                               "Requests to the token endpoint, by result.")
        case .tokenFetchDuration:                 Row(.histogram,  [],                                                "Duration of requests to the token endpoint.")
        case .tokenExpiry:                        Row(.gauge,      ["skill"],                                         "When the current token stops being used (Unix time).")
        case .tokenForcedRenewals:                Row(.counter,    ["skill"],                                         "Token fetches after Amazon refused a token that had not expired.")
        case .issuerKeys:                         Row(.gauge,      ["issuer"],                                        "Keys by which an issuer's JSON Web Tokens can be verified.")
        case .issuerKeyFetches:                   Row(.counter,    ["issuer", "result"],                              "Requests for an issuer's keys, by result.")
        case .issuerKeysFetched:                  Row(.gauge,      ["issuer"],                                        "When the current keys of an issuer were fetched (Unix time).")
        case .rateLeases:                         Row(.counter,    ["result"],                                        "Requests for permits of rates that count over all replicas, by result.")
        case .rateShareRequests:                  Row(.counter,    [],                                                "Requests that were held to this replica's own share of such a rate, because the shared store was away.")
        case .rateReplicas:                       Row(.gauge,      [],                                                "Replicas that share the rates which count over all of them, as far as is known.")
        case .events:                             Row(.counter,    ["type", "result"],                                "Events by type and by what became of them.")
        case .eventFailures:                      Row(.counter,    ["reason"],                                        "Attempts to deliver an event that failed, by reason.")
        case .eventsQueued:                       Row(.gauge,      [],                                                "Events that have not been delivered yet.")
        case .eventsOldest:                       Row(.gauge,      [],                                                "Age of the oldest event that has not been delivered yet.")
        case .spans:                              Row(.counter,    ["result"],                                        "Spans of traces by what became of them.")
        case .spanExportFailures:                 Row(.counter,    ["reason"],                                        "Attempts to export traces that failed, by reason.")
        case .tracesQueued:                       Row(.gauge,      [],                                                "Traces that have not been exported yet.")
        case .regionsLearned:                     Row(.counter,    ["how"],                                           "Users whose region was learned, by how it was learned.")
        case .usersGone:                          Row(.gauge,      [],                                                "Users unknown to every region, whose messages the gateway answers with 404 for a while.")
        case .receipts:                           Row(.counter,    ["skill", "result"],                               "Messages that skills have reported, by what the report was.")
        case .deliveryDuration:                   Row(.histogram,  ["skill"],                                         "Time from Amazon's acceptance of a message to its skill's first report of it.")
        case .messagesDue:                        Row(.counter,    ["skill"],                                         "Accepted messages that can be delivered no longer, of skills that report messages.")
        case .messagesUnreceived:                 Row(.counter,    ["skill"],                                         "Of these, messages that the skill has not reported.")
        case .idempotencyKeys:                    Row(.counter,    ["source"],                                        "Messages, by where their idempotency keys come from; none: they have none.")
        case .idempotencyClaims:                  Row(.counter,    ["store", "outcome"],                              "Claims of an idempotency key, by outcome.")
        case .idempotencyRecords:                 Row(.gauge,      ["state"],                                         "Idempotency records in this process's memory, by state.")
        case .idempotencyEvictions:               Row(.counter,    ["reason"],                                        "Idempotency records removed, by reason.")
        case .idempotencyCallerEvictions:         Row(.counter,    ["caller"],                                        "Idempotency records of a caller removed to make room for others.")
        case .idempotencyRetention:               Row(.gauge,      [],                                                "How long accepted messages are remembered in memory; shorter than configured while a full store evicts.")
        case .idempotencyStoreFailures:           Row(.counter,    ["operation"],                                     "Failed commands to the shared store, by operation.")
        case .idempotencyStoreUp:                 Row(.gauge,      [],                                                "Whether the shared store can be reached from every event loop.")
        case .idempotencyStoreSettingOK:          Row(.gauge,      ["setting"],                                       "Whether a setting of the store's server keeps records safe.")
        case .idempotencyStoreWipes:              Row(.counter,    [],                                                "Times the shared store was found to have lost its records.")
        case .idempotencyStoreHeld:               Row(.gauge,      [],                                                "Whether nothing is sent under new keys because the shared store may have lost older ones.")
        case .idempotencyStoreClockJumps:         Row(.counter,    [],                                                "Times the clock of the shared store's server jumped.")
        case .idempotencyBacklog:                 Row(.gauge,      [],                                                "Settlements that the store has not confirmed yet.")
        case .idempotencyFileBytes:               Row(.gauge,      [],                                                "Size of the files of idempotency records.")
        case .idempotencyTornEnds:                Row(.gauge,      [],                                                "Ends of files that were not written whole when the process started, and were cut off.")
        case .outcomeUnknown:                     Row(.counter,    ["region"],                                        "Messages that were sent and whose outcome is unknown.")
        case .rejected:                           Row(.counter,    ["reason"],                                        "Requests the gateway answered itself, by problem.")
        case .requestsReported:                   Row(.counter,    ["caller", "rule"],                                "Requests that broke a rule of their caller that is only reported, whatever their answer.")
        case .connections:                        Row(.gauge,      ["protocol"],                                      "Connections from clients, by protocol.")
        case .connectionsTurnedAway:              Row(.counter,    [],                                                "Connections closed because too many from the same address were open.")
        case .connectionsRevoked:                 Row(.counter,    [],                                                "Connections closed because their client's certificate is revoked.")
        case .connectionsProxyRefused:            Row(.counter,    ["reason"],                                        "Connections closed because they did not come from a trusted proxy, or did not begin with a header of the PROXY protocol.")
        case .http2Streams:                       Row(.gauge,      [],                                                "Requests over HTTP/2 that are being received or answered.")
        case .http2Resets:                        Row(.counter,    [],                                                "Streams of HTTP/2 that clients have reset.")
        case .http2Floods:                        Row(.counter,    [],                                                "Connections over HTTP/2 closed because of a flood of frames.")
        case .logLinesDropped:                    Row(.counter,    ["log"],                                           "Lines of the access and audit logs that could not be written in time, or at all.")
        case .configurationReloads:               Row(.counter,    ["result"],                                        "Attempts to reload the configuration, by result.")
        case .configurationLastReloadSuccess:     Row(.gauge,      [],                                                "When the configuration in force was loaded (Unix time).")
        case .certificateExpiry:                  Row(.gauge,      ["use"],                                           "When a certificate in use expires (Unix time).")
        case .configurationLastReloadSuccessful:  Row(.gauge,      [],                                                "Whether the configuration on disk is the one in force.")
        case .paused:                             Row(.gauge,      ["kind", "name"],                                "1 for each skill, caller and region whose messages an operator has paused.")
        case .state:                              Row(.gauge,      ["state"],                                         "1 for the gateway's current state, as on the status page: ready, degraded, not ready or draining.")
        case .buildInfo:                          Row(.gauge,      ["version", "revision", "swift"],                  "Always 1; the labels identify the build.")
        case .processCPU:                         Row(.counter,    [],                                                "User and system CPU time.")
        case .processResidentMemory:              Row(.gauge,      [],                                                "Resident memory.")
        case .processVirtualMemory:               Row(.gauge,      [],                                                "Virtual memory.")
        case .processOpenFiles:                   Row(.gauge,      [],                                                "Open file descriptors.")
        case .processMaximumFiles:                Row(.gauge,      [],                                                "Maximum number of open file descriptors.")
        case .processStart:                       Row(.gauge,      [],                                                "When the process started (Unix time).")
        }
    }
}
