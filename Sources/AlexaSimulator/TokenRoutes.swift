import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// Login with Amazon: OAuth 2.0 client credentials (RFC 6749 section 4.4), in the forms Amazon takes.
struct TokenRoutes {
    let amazon: SimulatedAmazon
    let misbehaviour: FaultInjector

    func add(to router: Router<SimulatorContext>) {
        for path in ["/auth/o2/token", "/auth/O2/token", "/lwa/auth/o2/token", "/lwa/auth/O2/token"] {
            router.post(RouterPath(path)) { request, context in
                try await misbehaviour.answer(.token, context) {
                    let content = try await request.body.collect(upTo: 64 * 1024)
                    return answer(request, String(buffer: content))
                }
            }
        }
    }

    private func answer(_ request: Request, _ content: String) -> SimulatedResponse {
        let answer = grant(request, content)
        amazon.tokenAnswered(answer.status)
        return answer
    }

    private func grant(_ request: Request, _ content: String) -> SimulatedResponse {
        var fields = Self.fields(content, type: request.headers[.contentType] ?? "")
        if let (clientID, secret) = Self.basicCredentials(request.headers[.authorization]) {
            fields["client_id"] = clientID
            fields["client_secret"] = secret
        }
        guard let grantType = fields["grant_type"] else {
            return Self.error(400, "invalid_request", "grant_type is missing")
        }
        guard grantType == "client_credentials" else {
            return Self.error(400, "unsupported_grant_type", "only client_credentials is supported")
        }
        guard let clientID = fields["client_id"], let secret = fields["client_secret"] else {
            return Self.error(400, "invalid_request", "client_id or client_secret is missing")
        }
        guard amazon.isClient(clientID, secret: secret) else {
            return Self.error(401, "invalid_client", "Client authentication failed")
        }
        guard fields["scope"] == "alexa:skill_messaging" else {
            return Self.error(400, "invalid_scope", "the scope is not alexa:skill_messaging")
        }
        let (token, lifetime) = amazon.grantToken(to: clientID)
        let isText = amazon.faults.tokenLifetimeAsString == true
        return SimulatedResponse(
            200,
            json: .object([
                "access_token": .string(token), "expires_in": isText ? .string(String(lifetime)) : .integer(lifetime),
                "scope": .string("alexa:skill_messaging"), "token_type": .string("Bearer"),
            ]))
    }

    private static func error(_ status: Int, _ code: String, _ description: String) -> SimulatedResponse {
        SimulatedResponse(status, json: .object(["error": .string(code), "error_description": .string(description)]))
    }

    /// A form, encoded or not (Amazon's SDKs do not encode it), or JSON.
    private static func fields(_ content: String, type: String) -> [String: String] {
        if type.contains("json") {
            return (try? JSONDecoder().decode([String: String].self, from: Data(content.utf8))) ?? [:]
        }
        var fields: [String: String] = [:]
        for pair in content.split(separator: "&") {
            guard let equals = pair.firstIndex(of: "=") else { continue }
            fields[String(pair[..<equals])] = pair[pair.index(after: equals)...].percentDecoded()
        }
        return fields
    }

    private static func basicCredentials(_ authorization: String?) -> (String, String)? {
        guard let authorization, authorization.lowercased().hasPrefix("basic "),
            let data = Data(base64Encoded: String(authorization.dropFirst(6)))
        else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        guard let colon = text.firstIndex(of: ":") else { return nil }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }
}
