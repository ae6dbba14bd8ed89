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

    func send(_ message: OutgoingMessage) async -> SendResult {
        var result = SendResult(line: message.line, idempotencyKey: message.idempotencyKey, attempts: 0)
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
    private func attempt(_ message: OutgoingMessage, _ result: inout SendResult) async -> Duration? {
        let backoff = Duration.milliseconds(100 << min(result.attempts, 8))
        let response: HTTPTransfer.Response
        do {
            response = try await transfer(message).perform()
        } catch {
            result.detail = error.description
            // Under one key, sending again is safe whatever became of this one.
            return error.reason == .badRequest ? nil : min(backoff, Self.longestPause)
        }
        result.status = response.status
        result.requestID = response.field("X-Amzn-RequestId")
        result.isReplay = response.field("Idempotent-Replayed") == "true" ? true : nil
        result.detail = result.isAccepted ? nil : Self.detail(response)
        guard [408, 409, 429, 500, 502, 503].contains(response.status) else { return nil }
        let retryAfter = response.field("Retry-After").flatMap { Int($0) }.map { Duration.seconds($0) }
        return min(max(retryAfter ?? .zero, backoff), Self.longestPause)
    }

    private func transfer(_ message: OutgoingMessage) -> HTTPTransfer {
        var fields = [
            ("Content-Type", "application/json"), ("Idempotency-Key", Self.quoted(message.idempotencyKey)),
            ("User-Agent", Build.userAgent),
        ]
        if consentsToDoubles { fields.append(("Idempotency-Resend", "?1")) }
        if let apiKey { fields.append(("Authorization", "Bearer \(apiKey)")) }
        if let region = message.region { fields.append(("Gateway-Region", region)) }
        if let apiEndpoint = message.apiEndpoint { fields.append(("Gateway-Api-Endpoint", apiEndpoint)) }
        if let skill = message.skill { fields.append(("Gateway-Skill", skill)) }
        var transfer = HTTPTransfer(
            "POST", "\(gateway)/v1/skillmessages/users/\(PercentEncoding.segment(message.userID))", fields: fields,
            content: message.content)
        transfer.timeout = .seconds(60)
        // Each message has a key.
        transfer.sharesConnection = true
        transfer.caFile = caFile
        transfer.proxy = proxy
        return transfer
    }

    /// A structured-field string (RFC 9651 section 3.3.3).
    private static func quoted(_ key: String) -> String {
        var quoted = "\""
        for character in key {
            if character == "\"" || character == "\\" { quoted.append("\\") }
            quoted.append(character)
        }
        return quoted + "\""
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
