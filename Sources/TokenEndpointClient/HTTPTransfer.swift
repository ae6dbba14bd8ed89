import CCurl
import GatewayCore

/// One HTTP request of the control plane, by libcurl: the system's OpenSSL and trust store, and the proxies of the
/// environment. Never for messages to Amazon: libcurl sends a POST again by itself when a kept-alive connection turns out dead.
package struct HTTPTransfer: Sendable {
    package var method: String
    package var url: String
    package var fields: [(name: String, value: String)]
    package var content: [UInt8]
    package var timeout = Duration.seconds(10)
    package var connectTimeout = Duration.seconds(5)
    package var contentLimitBytes = 1 << 20
    /// Of a longer content, the beginning is enough; otherwise it is a failure.
    package var isContentCut = false
    /// The path of a PEM file whose certificates are trusted besides the system's.
    package var caFile: String?
    /// The URL of a proxy; nil: none. What the environment says is not for libcurl to read, which would follow `http_proxy` and
    /// `ALL_PROXY`, too, and send in clear what was meant for this machine.
    package var proxy: String?
    /// The path of a Unix socket to connect to, whatever host the URL names; nil: that host.
    package var unixSocket: String?
    /// Takes a connection of an earlier transfer, and leaves it to a later one. If that one turns out dead, libcurl sends again by
    /// itself: only for what may come twice.
    package var sharesConnection = false
    package var version = Version.negotiated
    package var purpose = Purpose.tokens

    /// What the transfers of one purpose suffer, those of another do not notice.
    package enum Purpose: Int, CaseIterable, Sendable {
        /// Access tokens, and whatever a command asks for.
        case tokens
        /// Issuers' keys.
        case keys
        case events
        case traces
    }

    package enum Version: Sendable {
        /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
        case negotiated
        case http1
        /// HTTP/2 by prior knowledge where there is no TLS.
        case http2
    }

    package init(
        _ method: String, _ url: String, fields: [(name: String, value: String)] = [], content: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.fields = fields
        self.content = content
    }

    package struct Response: Sendable {
        package var status: Int
        /// In the order in which they came.
        package var fields: [(name: String, value: String)]
        package var content: [UInt8]
        package var times = Times()
        package var isHTTP2 = false

        /// The value of the first field of this name, in whatever case.
        package func field(_ name: String) -> String? {
            fields.first { $0.name.lowercased() == name.lowercased() }?.value
        }

        /// How long the server wants to be left alone; nil if it does not say (RFC 9110 section 10.2.3).
        package func retryAfter(unixTime: Double) -> Duration? {
            guard let text = field("Retry-After") else { return nil }
            if let seconds = UInt32(text) { return .seconds(Int64(seconds)) }
            return HTTPDate.parse(text).map { .seconds(min(max(0, $0 - unixTime), Double(UInt32.max))) }
        }

        package var text: String { String(decoding: content, as: UTF8.self) }
    }

    /// When each phase had ended, from the start of the transfer on; zero for a phase that there was none of.
    package struct Times: Sendable {
        package var resolved = Duration.zero
        package var connected = Duration.zero
        package var secured = Duration.zero
        package var answered = Duration.zero
    }

    package struct Failure: Error, Sendable, CustomStringConvertible {
        package enum Reason: Sendable {
            /// The name of the host has no address.
            case notResolved
            case notConnected
            /// No TLS connection, or none to be trusted.
            case notSecured
            case timeout
            case tooLarge
            case badRequest
            /// Anything else on the way, such as a connection that was lost.
            case broken

            init(_ code: CURLcode) {
                self =
                    switch code {
                    case CURLE_OPERATION_TIMEDOUT: .timeout
                    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .notResolved
                    case CURLE_COULDNT_CONNECT: .notConnected
                    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
                        CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR:
                        .notSecured
                    case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .badRequest
                    default: .broken
                    }
            }
        }

        package var reason: Reason
        /// libcurl's words.
        package var description: String
    }

    /// Performs the request; `then` is called on the thread of all transfers of this purpose and must not wait.
    package func perform(then: @escaping @Sendable (Result<Response, Failure>) -> Void) {
        TransferLoop.of(purpose).submit {
            RunningTransfer(self, then)
        } failed: {
            then(.failure(Failure(reason: .badRequest, description: "libcurl failed to initialize")))
        }
    }

    package func perform() async throws(Failure) -> Response {
        try await withCheckedContinuation { continuation in
            perform { continuation.resume(returning: $0) }
        }.get()
    }
}
