import GatewayCore
import NIOCore

/// Names and attributes are those of OpenTelemetry's semantic conventions for HTTP and messaging; the gateway's own begin with `gateway.`.
extension RequestTrace {
    /// The request first, then what it waited for, in that order.
    ///
    /// - Parameter endpoints: where the regions are.
    func spans(_ endpoints: ByRegion<APIEndpoint>) -> [Span] {
        [requestSpan] + steps.map { span(of: $0, endpoints) }
    }

    var spanCount: Int { 1 + steps.count }

    private var beganNanoseconds: Int64 {
        let (product, _) = Int64(clamping: began.seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return product &+ Int64(began.nanoseconds)
    }

    private var requestSpan: Span {
        let route = action.route
        var span = Span(
            name: route.name, kind: .server, traceID: traceID, spanID: spanID, parentID: parentID,
            hasRemoteParent: parentID != nil, began: beganNanoseconds,
            ended: beganNanoseconds &+ duration.nanoseconds, links: links)
        span.add("http.request.method", route.method)
        span.add("http.route", route.path)
        span.add("url.scheme", isSecure ? "https" : "http")
        span.add("url.path", route.shownPath)
        span.add("http.response.status_code", status)
        span.add("http.request.body.size", contentBytes)
        span.add("network.protocol.name", "http")
        span.add("network.protocol.version", version == .http2 ? "2" : "1.1")
        span.add("client.address", clientAddress)
        span.add("gateway.action", action.rawValue)
        span.add("gateway.request_id", requestID)
        span.add("gateway.caller", caller)
        span.add("gateway.skill", skill)
        span.add("gateway.region", region?.name)
        span.add("gateway.source", source.rawValue)
        span.add("gateway.problem", problem?.rawValue)
        span.add("gateway.key_source", keySource?.rawValue)
        span.add("gateway.record", record)
        // A client's mistake is none of the server's.
        if status >= 500 { span.fail(problem?.rawValue ?? String(status)) }
        return span
    }

    private func span(of step: Step, _ endpoints: ByRegion<APIEndpoint>) -> Span {
        var span = Span(
            name: step.kind.name, kind: .internal, traceID: traceID, spanID: step.spanID, parentID: spanID,
            began: beganNanoseconds &+ step.began.nanoseconds, ended: beganNanoseconds &+ step.ended.nanoseconds)
        switch step.kind {
        case .replicas, .settle, .record, .duplicate: break
        case .token(let isRenewal): span.add("gateway.token.use", isRenewal ? "renewed" : "current")
        case .queue, .quota: span.add("gateway.region", step.region?.name)
        case .claim(let store, let outcome):
            span.add("gateway.store", store.rawValue)
            span.add("gateway.claim.outcome", outcome?.rawValue)
            if outcome == .storeUnavailable || outcome == .storeFull { span.fail(outcome?.rawValue ?? "") }
        case .send(let attempt): describe(attempt, to: step.region, endpoints, in: &span)
        }
        return span
    }

    private func describe(
        _ attempt: Attempt, to region: Region?, _ endpoints: ByRegion<APIEndpoint>, in span: inout Span
    ) {
        span.kind = .client
        span.add("http.request.method", "POST")
        if let region {
            let endpoint = endpoints[region]
            span.add("server.address", endpoint.host)
            span.add("server.port", endpoint.port)
            span.add("url.full", "\(endpoint)\(Route.message.shownPath)")
            span.add("gateway.region", region.name)
        }
        span.add("url.template", Route.message.path)
        if attempt.resends > 0 { span.add("http.request.resend_count", attempt.resends) }
        span.add("gateway.attempt.reason", attempt.reason?.rawValue)
        span.add("messaging.system", "alexa_skill_messaging")
        span.add("messaging.operation.name", "send")
        span.add("messaging.operation.type", "send")
        span.add("messaging.destination.name", skill)
        if let status = attempt.status { span.add("http.response.status_code", status) }
        span.add("messaging.message.id", attempt.requestID.map { "\($0)" })
        if let failure = attempt.failure {
            span.fail(failure.name)
        } else if let status = attempt.status {
            if status >= 400 { span.fail(String(status)) }
        } else if attempt.reason == nil {
            span.fail("connection_lost")
        }
    }
}

extension RequestTrace.Step.Kind {
    fileprivate var name: String {
        switch self {
        case .replicas: "replicas"
        case .token: "token"
        case .queue: "queue"
        case .claim: "claim"
        case .send: Route.message.name
        case .quota: "quota"
        case .settle: "settle"
        case .record: "record"
        case .duplicate: "duplicate"
        }
    }
}

extension UpstreamFailure {
    fileprivate var name: String {
        switch self {
        case .timeout: "timeout"
        case .connectionLost: "connection_lost"
        case .malformedAnswer: "malformed_response"
        case .notProcessed: "not_processed"
        }
    }
}

/// What a request is called, and what of its path may be shown.
private struct Route {
    let method: String
    let path: String
    /// OpenTelemetry's convention for what must not be shown.
    let shownPath: String
    let name: String

    init(_ method: String, _ path: String) {
        self.method = method
        self.path = path
        name = "\(method) \(path)"
        shownPath = path.split(separator: "/", omittingEmptySubsequences: false)
            .map { $0.hasPrefix("{") ? "REDACTED" : $0 }.joined(separator: "/")
    }

    static let message = Route("POST", "/v1/skillmessages/users/{userId}")
    static let inquiry = Route("GET", "/v1/idempotency-keys/{key}")
    static let settlement = Route("PUT", "/v1/idempotency-keys/{key}")
    static let receipt = Route("POST", "/v1/receipts")
    static let accessToken = Route("POST", "/auth/o2/token")
    static let userRegion = Route("PUT", "/v1/users/{userId}/region")
}

extension AuditLog.Action {
    fileprivate var route: Route {
        switch self {
        case .message, .validation: .message
        case .inquiry: .inquiry
        case .settlement: .settlement
        case .receipt: .receipt
        case .accessToken: .accessToken
        case .userRegion: .userRegion
        }
    }
}
