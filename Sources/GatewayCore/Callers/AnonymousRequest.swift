import NIOCore

/// What is asked of a request over TCP without credentials.
///
/// Loopback keeps other machines out, but not the web pages that a browser on this machine shows: any of them can make it send
/// requests here. Pages cannot send JSON to another origin without asking first (Fetch, section 3.2.2), browsers tell where a
/// request comes from, and a page whose own name was made to lead here sends that name.
enum AnonymousRequest {
    static func refuseFromPage(_ request: InboundRequest) throws(CallerError) {
        let (head, headBytes) = (request.head, request.headBytes)
        let bytes = headBytes.readableBytesUInt8Span
        guard request.isForLoopback else {
            throw refusal("field `Host` names a loopback address or `localhost`")
        }
        guard head.origin == nil else { throw refusal("there is no field `Origin`, which only browsers send") }
        if let site = head.secFetchSite, !bytes.isEqual(site, to: "none") {
            throw refusal("there is no field `Sec-Fetch-Site`, which only browsers send, or it is `none`")
        }
        // A request without content does nothing that a page could not have done to itself.
        guard head.method == .post || head.method == .put else { return }
        guard let contentType = head.contentType, isJSON(bytes, contentType) else {
            throw refusal("field `Content-Type` is `application/json`")
        }
    }

    private static func isJSON(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
        let mediaType = value.lowerBound..<bytes.first(UInt8(ascii: ";"), in: value)
        return bytes.isEqualIgnoringCase(bytes.trimmed(mediaType), to: "application/json")
    }

    private static func refusal(_ rule: String) -> CallerError {
        CallerError(.notAllowed, "a request without credentials is accepted only if \(rule)")
    }
}
