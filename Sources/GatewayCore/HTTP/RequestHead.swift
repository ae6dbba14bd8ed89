/// The head of one request: what the gateway needs of it, as ranges of the bytes it was parsed from.
///
/// No field is copied and none that is not named here is kept: what the gateway does not know it cannot forward.
public struct RequestHead: Equatable, Sendable {
    public enum Method: Equatable, Sendable { case get, head, post, put, other }

    /// How the content is delimited (RFC 9112 section 6).
    public enum Framing: Equatable, Sendable {
        case none
        /// In bytes.
        case length(Int)
        case chunked
    }

    /// Fields that may come once only: a second line would leave open which one counts.
    public enum SingleField: String, Equatable, Sendable {
        case authorization = "Authorization"
        case idempotencyKey = "Idempotency-Key"
        case idempotencyResend = "Idempotency-Resend"
        case gatewaySkill = "Gateway-Skill"
        case gatewayRegion = "Gateway-Region"
        case gatewayAPIEndpoint = "Gateway-Api-Endpoint"
        case contentEncoding = "Content-Encoding"
        case contentType = "Content-Type"
    }

    public var method: Method
    /// The path of the target, without the query; percent-encoding is left as it came.
    public var path: Range<Int>
    public var hasQuery: Bool
    public var framing = Framing.none
    /// Whether the connection may serve another request after this one.
    public var keepsAlive: Bool
    /// `Expect: 100-continue`: the caller waits for a go-ahead before it sends the content.
    public var expectsContinue = false
    public var authorization: Range<Int>?
    public var idempotencyKey: Range<Int>?
    public var idempotencyResend: Range<Int>?
    public var gatewaySkill: Range<Int>?
    public var gatewayRegion: Range<Int>?
    public var gatewayAPIEndpoint: Range<Int>?
    public var contentEncoding: Range<Int>?
    public var contentType: Range<Int>?
    public var accept: Range<Int>?
    /// Host and port of the target in absolute form, or else of `Host`.
    public var authority: Range<Int>?
    /// What browsers say of a page that sends a request: `Origin`, and `Sec-Fetch-Site`.
    public var origin: Range<Int>?
    public var secFetchSite: Range<Int>?
    public var traceParent: Range<Int>?
    /// A field of `SingleField` that came twice. Refused by the forwarding flow, since the framing is sound.
    public var repeatedField: SingleField?

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
