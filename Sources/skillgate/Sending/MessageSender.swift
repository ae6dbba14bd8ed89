import FoundationEssentials
import GatewayCore
import TokenEndpointClient

/// Sends messages to a gateway, each until its answer is final or its tries are used up.
struct MessageSender: Sendable {
    private static let longestPause = Duration.seconds(30)

    /// Of the gateway, without a path.
    let gateway: String
    let apiKey: String?
    let caFile: String?
    /// The URL of a proxy to the gateway; nil: none.
    let proxy: String?
    /// For each message.
    let maximumAttempts: Int
    /// Whether what may have been accepted before is sent all the same.
    var consentsToDoubles = false
    /// Whether messages are only checked.
    var validatesOnly = false

    func send(_ message: SendInput) async -> SendResult {
        var result = SendResult(message)
        while true {
            result.attempts += 1
            let pause = await attempt(message, &result)
            guard let pause, result.attempts < maximumAttempts, !Task.isCancelled else { return result }
            do {
                try await Task.sleep(for: pause)
            } catch {
                return result
            }
        }
    }

    /// Sends once. Returns how long to wait before it makes sense to try again; nil if it makes none.
    private func attempt(_ message: SendInput, _ result: inout SendResult) async -> Duration? {
        let backoff = Duration.milliseconds(100 << min(result.attempts, 8))
        let response: HTTPTransfer.Response
        do {
            response = try await transfer(message).perform()
        } catch {
            result.status = nil
            result.detail = error.problem(reaching: gateway)
            // Under one key, sending again is safe whatever became of this one.
            return error.reason == .badRequest ? nil : min(backoff, Self.longestPause)
        }
        guard Self.isOfGateway(response) else {
            result.status = nil
            result.detail = "\(gateway) answers \(response.status) and is no Skillgate gateway"
            return [502, 503, 504].contains(response.status) ? min(backoff, Self.longestPause) : nil
        }
        result.status = response.status
        result.requestID = response.field("X-Amzn-RequestId")
        result.gatewayRequestID = response.field("X-Request-Id")
        result.isReplay = response.field("Idempotent-Replayed") == "true" ? true : nil
        if validatesOnly && (200...299).contains(response.status) && !Self.isValidation(response) {
            result.wasSentByMistake = true
            result.detail = "\(gateway) does not know `Gateway-Validate-Only`: it has sent the message"
            return nil
        }
        result.detail = Self.isValidation(response) ? response.text : result.isAccepted ? nil : Self.detail(response)
        // Amazon's 500 is none of the gateway's own, and proves that the message was not accepted.
        guard response.status == 500 || Problem.resend(after: response.status) == .safe else { return nil }
        let retryAfter = response.retryAfter(unixTime: UnixTime.now())
        return min(max(retryAfter ?? .zero, backoff), Self.longestPause)
    }

    /// Every answer of a gateway, its own and those that it passes on, names it (RFC 9209).
    private static func isOfGateway(_ response: HTTPTransfer.Response) -> Bool {
        response.fields.contains { $0.name.lowercased() == "proxy-status" && $0.value.contains("skillgate") }
            || isValidation(response)
    }

    private static func isValidation(_ response: HTTPTransfer.Response) -> Bool {
        response.status == 200 && response.text.hasPrefix("{\"valid\":true,")
    }

    private struct KeyState: Decodable {
        var state: String
        var requestId: String?
        var receivedAt: String?
    }

    /// Asks what became of a message whose outcome was unknown; sends nothing.
    func ask(about message: SendInput) async -> SendResult {
        var result = SendResult(message)
        result.attempts = 1
        result.status = 504
        result.detail = "it may have been accepted; --resend sends it again"
        guard let known = await state(of: message), known.state == "accepted" else { return result }
        (result.status, result.detail, result.isReplay) = (202, nil, true)
        result.requestID = known.requestId
        return result
    }

    /// Whether the skill has reported a message.
    enum Delivery: Sendable {
        case received
        /// Not yet, or the gateway does not say.
        case open
        /// Nothing is known of it any more.
        case forgotten
    }

    func delivery(of message: SendInput) async -> Delivery {
        guard let state = await state(of: message) else { return .open }
        return state.receivedAt != nil ? .received : state.state == "absent" ? .forgotten : .open
    }

    private func state(of message: SendInput) async -> KeyState? {
        var transfer = request(
            "GET", "/v1/idempotency-keys/\(PercentEncoding.segment(message.idempotencyKey))", skill: message.skill)
        transfer.timeout = .seconds(10)
        guard let response = try? await transfer.perform() else { return nil }
        if response.status == 429 {
            // The caller's rate, in which inquiries count, too.
            let pause = response.retryAfter(unixTime: UnixTime.now()) ?? .seconds(1)
            try? await Task.sleep(for: min(pause, Self.longestPause))
        }
        guard response.status == 200 else { return nil }
        return try? JSONDecoder().decode(KeyState.self, from: Data(response.content))
    }

    private func request(
        _ method: String, _ path: String, skill: String?, fields: [(name: String, value: String)] = [],
        content: [UInt8] = []
    ) -> HTTPTransfer {
        var fields = fields + [(name: "User-Agent", value: Build.userAgent)]
        if let apiKey { fields.append(("Authorization", "Bearer \(apiKey)")) }
        if let skill { fields.append(("Gateway-Skill", skill)) }
        var transfer = HTTPTransfer(method, gateway + path, fields: fields, content: content)
        transfer.timeout = .seconds(60)
        // Each message has a key.
        transfer.sharesConnection = true
        transfer.caFile = caFile
        transfer.proxy = proxy
        return transfer
    }

    private func transfer(_ message: SendInput) -> HTTPTransfer {
        var fields = [
            (name: "Content-Type", value: "application/json"),
            (name: "Idempotency-Key", value: StructuredString.quoted(message.idempotencyKey)),
        ]
        if validatesOnly { fields.append(("Gateway-Validate-Only", "?1")) }
        if consentsToDoubles { fields.append(("Idempotency-Resend", "?1")) }
        if let region = message.region { fields.append(("Gateway-Region", region)) }
        if let apiEndpoint = message.apiEndpoint { fields.append(("Gateway-Api-Endpoint", apiEndpoint)) }
        return request(
            "POST", "/v1/skillmessages/users/\(PercentEncoding.segment(message.userID))", skill: message.skill,
            fields: fields, content: message.content)
    }

    private struct Explanation: Decodable {
        var detail: String?
        var message: String?
    }

    private static func detail(_ response: HTTPTransfer.Response) -> String? {
        let explanation = try? JSONDecoder().decode(Explanation.self, from: Data(response.content))
        return explanation?.detail ?? explanation?.message
    }
}
