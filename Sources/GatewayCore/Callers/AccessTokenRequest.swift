import NIOCore

/// What a client asks the token endpoint for (RFC 6749 section 4.4.2), in each form in which clients of Amazon's do:
/// a form, percent-encoded or not, or JSON; with the client's credentials in it, or by HTTP Basic.
struct AccessTokenRequest {
    /// A client's identifier and secret, as the request may have meant them.
    struct Credentials: Equatable {
        var clientID: String
        var secret: String
    }

    static let scope = "alexa:skill_messaging"

    /// Different readings of the same: some clients percent-encode what they send, and some do not.
    let credentials: [Credentials]

    /// - Throws: for a reason that has an error code of RFC 6749 section 5.2.
    init(_ request: InboundRequest) throws(CallerError) {
        let parameters = try Parameters(request.content)
        guard let grantType = try parameters.value("grant_type") else {
            throw CallerError(.tokenRequestInvalid, "parameter `grant_type` is missing; expected `client_credentials`")
        }
        guard grantType.decoded == "client_credentials" else {
            throw CallerError(.grantTypeUnsupported, "only the grant type `client_credentials` is supported")
        }
        let scope = try parameters.value("scope")
        guard scope.map({ $0.decoded.split(separator: " ").contains(Substring(Self.scope)) }) ?? true else {
            throw CallerError(.scopeInvalid, "the scope is not `\(Self.scope)`")
        }
        credentials = try Self.credentials(request, parameters)
    }

    private static func credentials(
        _ request: InboundRequest, _ parameters: Parameters
    ) throws(CallerError) -> [Credentials] {
        let clientID = try parameters.value("client_id")
        let secret = try parameters.value("client_secret")
        if let authorization = request.head.authorization {
            guard secret == nil else {
                throw CallerError(
                    .tokenRequestInvalid, "both field `Authorization` and `client_secret` are given; expected one")
            }
            let headBytes = request.headBytes
            guard let basic = basic(headBytes.readableBytesUInt8Span, authorization) else {
                throw CallerError(
                    .clientNotAuthenticated, "field `Authorization` is not `Basic` followed by base64 of `id:secret`")
            }
            return basic
        }
        guard let clientID, let secret else {
            let missing = clientID == nil ? "client_id" : "client_secret"
            throw CallerError(.tokenRequestInvalid, "parameter `\(missing)` is missing")
        }
        return readings(clientID, secret)
    }

    private static func readings(_ clientID: Parameters.Value, _ secret: Parameters.Value) -> [Credentials] {
        let decoded = Credentials(clientID: clientID.decoded, secret: secret.decoded)
        let raw = Credentials(clientID: clientID.raw, secret: secret.raw)
        return decoded == raw ? [decoded] : [decoded, raw]
    }

    /// Identifier and secret are form-encoded by RFC 6749 section 2.3.1, which not every client does.
    private static func basic(_ bytes: Span<UInt8>, _ field: Range<Int>) -> [Credentials]? {
        guard let (userID, password) = AuthorizationField.basic(bytes, field) else { return nil }
        return readings(Parameters.Value(encoded: userID), Parameters.Value(encoded: password))
    }
}

extension AccessTokenRequest {
    /// The parameters of a request by name.
    struct Parameters {
        struct Value: Equatable {
            /// As a form-encoded value.
            var decoded: String
            /// As it came.
            var raw: String

            init(plain text: String) {
                (decoded, raw) = (text, text)
            }

            init(encoded text: some StringProtocol) {
                raw = String(text)
                decoded = Self.decode(raw) ?? raw
            }

            private static func decode(_ text: String) -> String? {
                let bytes = text.utf8.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
                return PercentEncoding.decode(bytes.span, 0..<bytes.count).flatMap {
                    String(validating: $0, as: UTF8.self)
                }
            }
        }

        private var values: [(name: String, value: Value)] = []

        init(_ content: ByteBuffer) throws(CallerError) {
            let bytes = content.readableBytesUInt8Span
            let start = JSONScanner.skipWhitespace(bytes, from: 0)
            if start < bytes.count && bytes[start] == UInt8(ascii: "{") {
                do {
                    values = try JSONMembers.strings(of: bytes).map { ($0.name, Value(plain: $0.value)) }
                } catch {
                    throw CallerError(
                        .tokenRequestInvalid, "the content is neither a form nor a JSON object of strings")
                }
            } else {
                guard let text = String(validating: Array(content.readableBytesView), as: UTF8.self) else {
                    throw CallerError(.tokenRequestInvalid, "the content is not UTF-8")
                }
                values = text.split(separator: "&").map { pair in
                    let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    return (Value(encoded: parts[0]).decoded, Value(encoded: parts.count > 1 ? parts[1] : ""))
                }
            }
        }

        /// Nil where it is missing or empty, which is the same (RFC 6749 section 3.2).
        func value(_ name: String) throws(CallerError) -> Value? {
            let found = values.filter { $0.name == name }
            guard found.count <= 1 else {
                throw CallerError(.tokenRequestInvalid, "parameter `\(name)` is given twice; expected it once")
            }
            return found.first.flatMap { $0.value.raw.isEmpty ? nil : $0.value }
        }
    }
}
