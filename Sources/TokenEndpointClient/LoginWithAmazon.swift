import FoundationEssentials
package import GatewayCore
package import NIOCore

/// The token endpoint of Login with Amazon: OAuth 2.0 client credentials (RFC 6749 section 4.4).
package struct LoginWithAmazon: TokenEndpoint {
    /// An answer is a few hundred bytes.
    static let contentLimitBytes = 16 * 1024
    static let tokenLimitBytes = 4096

    private let url: String
    private let userAgent: String
    private let caFile: String?
    private let proxy: String?

    /// - Parameters:
    ///   - caFile: the path of a PEM file whose certificates are trusted besides the system's.
    ///   - proxy: as `HTTPTransfer.proxy`.
    package init(url: String, userAgent: String, caFile: String? = nil, proxy: String? = nil) {
        self.proxy = proxy
        self.url = url
        self.userAgent = userAgent
        self.caFile = caFile
    }

    package func fetchToken(
        _ credentials: ClientCredentials, secret: ClientCredentials.Secret, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Result<TokenGrant, TokenFetchFailure>> {
        let promise = eventLoop.makePromise(of: Result<TokenGrant, TokenFetchFailure>.self)
        transfer(credentials, secret: secret).perform { result in
            promise.succeed(Result { () throws(TokenFetchFailure) in try Self.grant(from: result) })
        }
        return promise.futureResult
    }

    /// The request for a token.
    package func transfer(_ credentials: ClientCredentials, secret: ClientCredentials.Secret) -> HTTPTransfer {
        let form = [
            ("grant_type", "client_credentials"), ("client_id", credentials.clientID),
            ("client_secret", credentials.value(of: secret)), ("scope", "alexa:skill_messaging"),
        ].map { "\($0)=\(Self.formEncoded($1))" }.joined(separator: "&")
        var transfer = HTTPTransfer(
            "POST", url,
            fields: [
                ("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"),
                ("User-Agent", userAgent),
            ],
            content: Array(form.utf8))
        transfer.contentLimitBytes = Self.contentLimitBytes
        transfer.caFile = caFile
        transfer.proxy = proxy
        return transfer
    }

    /// The token that an answer grants.
    package static func grant(
        from result: Result<HTTPTransfer.Response, HTTPTransfer.Failure>
    ) throws(TokenFetchFailure) -> TokenGrant {
        let response: HTTPTransfer.Response
        switch result {
        case .success(let success): response = success
        case .failure(let failure):
            switch failure.reason {
            case .timeout: throw TokenFetchFailure(.timeout, failure.description)
            case .notResolved, .notConnected, .notSecured, .broken, .badRequest:
                throw TokenFetchFailure(.unreachable, failure.description)
            case .tooLarge: throw TokenFetchFailure(.unusableAnswer, failure.description)
            }
        }
        guard response.status == 200 else { throw failure(response) }
        guard let reply = try? JSONDecoder().decode(Reply.self, from: Data(response.content)) else {
            throw TokenFetchFailure(.unusableAnswer, "status 200 without an `access_token`")
        }
        guard (1...tokenLimitBytes).contains(reply.accessToken.utf8.count),
            reply.accessToken.isVisibleASCII
        else {
            throw TokenFetchFailure(.unusableAnswer, "the `access_token` is too long or not visible ASCII")
        }
        // RFC 6749 section 7.1: a token of a type that is not understood is not to be used.
        guard reply.tokenType.map({ $0.lowercased() == "bearer" }) ?? true else {
            throw TokenFetchFailure(.unusableAnswer, "the `token_type` is not `Bearer`")
        }
        return TokenGrant(token: reply.accessToken, lifetimeSeconds: reply.lifetimeSeconds)
    }

    private static func failure(_ response: HTTPTransfer.Response) -> TokenFetchFailure {
        guard (400...499).contains(response.status),
            let error = try? JSONDecoder().decode(ErrorReply.self, from: Data(response.content)).error,
            error.utf8.allSatisfy({ (0x61...0x7A).contains($0) || $0 == 0x5F }), error.utf8.count <= 64
        else { return TokenFetchFailure(.unusableAnswer, "status \(response.status)") }
        return TokenFetchFailure(
            error == "invalid_client" ? .invalidClient : .refused, "status \(response.status), \(error)")
    }

    private struct ErrorReply: Decodable {
        var error: String
    }

    private struct Reply: Decodable {
        var accessToken: String
        var lifetimeSeconds: Int?
        /// Nil where it is missing.
        var tokenType: String?

        enum CodingKeys: String, CodingKey {
            case accessToken = "access_token"
            case tokenType = "token_type"
            case expiresIn = "expires_in"
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            accessToken = try container.decode(String.self, forKey: .accessToken)
            tokenType = try container.decodeIfPresent(String.self, forKey: .tokenType)
            // A number, or a number in a string; anything else is as good as missing.
            if let number = try? container.decode(Double.self, forKey: .expiresIn) {
                lifetimeSeconds = Int(exactly: min(max(number, -1), 1e9).rounded())
            } else if let text = try? container.decode(String.self, forKey: .expiresIn), let number = Double(text) {
                lifetimeSeconds = Int(exactly: min(max(number, -1), 1e9).rounded())
            }
        }
    }

    /// `application/x-www-form-urlencoded`, everything but unreserved characters encoded.
    static func formEncoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                encoded += byte < 16 ? "%0" : "%"
                encoded += String(byte, radix: 16, uppercase: true)
            }
        }
        return encoded
    }
}
