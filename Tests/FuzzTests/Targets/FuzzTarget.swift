/// What strangers' bytes are thrown at. Each takes any bytes and traps where a promise is broken, which a fuzzer and a test see alike.
package enum FuzzTarget: String, CaseIterable {
    /// Request heads, framing, chunks: the same wherever the bytes are cut.
    case request
    /// What an upstream answers, likewise.
    case response
    /// Both over HTTP/2, likewise.
    case http2request
    case http2response
    /// `Idempotency-Key`.
    case key
    /// The message scanner and the canonical form.
    case message
    /// The reply of a token endpoint.
    case token
    /// A caller's JSON Web Token, and the keys of an issuer.
    case webtoken
    case resp
    /// What a store holds under the key of a record.
    case record
    /// What replicas tell each other of a throttled skill.
    case quota
    /// The first message of a TLS client.
    case hello

    package func run(_ bytes: [UInt8]) {
        switch self {
        case .request: HTTPFuzzing.request(bytes)
        case .response: HTTPFuzzing.response(bytes)
        case .http2request: HTTP2RequestFuzzing.requests(bytes)
        case .http2response: HTTP2ResponseFuzzing.answers(bytes)
        case .key: MessageFuzzing.key(bytes)
        case .message: MessageFuzzing.message(bytes)
        case .token: MessageFuzzing.token(bytes)
        case .webtoken: WebTokenFuzzing.tokenAndKeys(bytes)
        case .resp: StoreFuzzing.resp(bytes)
        case .record: StoreFuzzing.record(bytes)
        case .quota: StoreFuzzing.quota(bytes)
        case .hello: TLSFuzzing.hello(bytes)
        }
    }
}

/// A promise that was broken.
func promise(_ isKept: Bool, _ text: @autoclosure () -> String) {
    if !isKept { fatalError("broken: \(text())") }
}
