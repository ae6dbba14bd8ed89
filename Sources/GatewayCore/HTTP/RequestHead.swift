/// The head of one request: what the gateway needs of it, as ranges of the bytes it was parsed from.
///
/// No field is copied and none that is not named here is kept: what the gateway does not know it cannot forward.
package struct RequestHead: Equatable, Sendable {
    package enum Method: Equatable, Sendable { case get, head, post, put, other }

    /// How the content is delimited (RFC 9112 section 6).
    package enum Framing: Equatable, Sendable {
        case none
        /// In bytes.
        case length(Int)
        case chunked
    }

    /// Fields that may come once only: a second line would leave open which one counts.
    package enum SingleField: String, Equatable, Sendable {
        case authorization = "Authorization"
        case idempotencyKey = "Idempotency-Key"
        case idempotencyResend = "Idempotency-Resend"
        case gatewaySkill = "Gateway-Skill"
        case gatewayRegion = "Gateway-Region"
        case gatewayAPIEndpoint = "Gateway-Api-Endpoint"
        case gatewayValidateOnly = "Gateway-Validate-Only"
        case gatewayTimeout = "Gateway-Timeout"
        case contentEncoding = "Content-Encoding"
        case contentType = "Content-Type"
    }

    package var method: Method
    /// The path of the target, without the query; percent-encoding is left as it came.
    package var path: Range<Int>
    var hasQuery: Bool
    var framing = Framing.none
    /// Whether the connection may serve another request after this one.
    package var keepsAlive: Bool
    /// `Expect: 100-continue`: the caller waits for a go-ahead before it sends the content.
    var expectsContinue = false
    package var authorization: Range<Int>?
    package var idempotencyKey: Range<Int>?
    var idempotencyResend: Range<Int>?
    var gatewaySkill: Range<Int>?
    var gatewayRegion: Range<Int>?
    var gatewayAPIEndpoint: Range<Int>?
    var gatewayValidateOnly: Range<Int>?
    var gatewayTimeout: Range<Int>?
    var contentEncoding: Range<Int>?
    package var contentType: Range<Int>?
    package var accept: Range<Int>?
    /// Host and port of the target in absolute form, or else of `Host`.
    package var authority: Range<Int>?
    /// What browsers say of a page that sends a request: `Origin`, and `Sec-Fetch-Site`.
    package var origin: Range<Int>?
    var secFetchSite: Range<Int>?
    var traceParent: Range<Int>?
    /// There is at least one line of `X-Forwarded-For`; see `InboundRequest.forwardedFor`.
    var hasForwardedFor = false
    /// `X-Request-Id`; of two, neither counts.
    var requestID: Range<Int>?
    /// A field of `SingleField` that came twice. Refused by the forwarding flow, since the framing is sound.
    package var repeatedField: SingleField?

    init(method: Method, path: Range<Int>, hasQuery: Bool, keepsAlive: Bool) {
        self.method = method
        self.path = path
        self.hasQuery = hasQuery
        self.keepsAlive = keepsAlive
    }

    /// Remembers in `slot` where a field of `SingleField` stands, or that it came twice.
    static func note(
        _ field: SingleField, at value: Range<Int>, in slot: inout Range<Int>?, repeated: inout SingleField?
    ) {
        if slot != nil { repeated = field }
        slot = value
    }
}
