package import NIOCore

/// Writes each answer as one buffer: status line, fields and content.
package final class ResponseEncoder: Sendable {
    /// `next-hop` of RFC 9209 for each region.
    private let nextHops: ByRegion<String>
    /// The whole head of the one answer that nearly every message gets, up to the request id.
    private let acceptedHeads: ByRegion<ByteBuffer>

    /// Whether people look at the answers: they are not to be taken for anything but what their `Content-Type` says.
    private let isForBrowsers: Bool

    /// What the type of a problem is appended to, for `Link`; nil: there is none.
    private let documentation: String?

    /// - Parameter documentation: a URL, of visible ASCII without `<` and `>`.
    package init(endpoints: ByRegion<APIEndpoint>, documentation: String? = nil, isForBrowsers: Bool = false) {
        self.documentation = documentation
        self.isForBrowsers = isForBrowsers
        let nextHops = ByRegion { "\"\(endpoints[$0].authority)\"" }
        self.nextHops = nextHops
        acceptedHeads = ByRegion { region in
            var head = ByteBuffer()
            Self.writeStatusLine(202, to: &head)
            Self.writeUpstreamFields(202, region, nextHops[region], to: &head)
            return head
        }
    }

    /// What the connection adds to an answer.
    package struct Form: Sendable {
        /// Whether the connection may serve another request after this answer.
        package var keepsAlive: Bool
        /// False for an answer to HEAD (RFC 9110 section 9.3.2).
        package var hasContent: Bool
        /// The `Date` field line with its CR LF.
        package var dateLine: ByteBuffer
        package var id: ExchangeID

        package init(keepsAlive: Bool, hasContent: Bool = true, dateLine: ByteBuffer = ByteBuffer(), id: ExchangeID) {
            self.id = id
            self.keepsAlive = keepsAlive
            self.hasContent = hasContent
            self.dateLine = dateLine
        }
    }

    /// - Parameter buffer: is emptied first; its memory is used again unless an earlier answer is still there to be sent.
    package func encode(_ answer: Response, _ form: Form, into buffer: inout ByteBuffer) {
        buffer.clear(minimumCapacity: 512)
        switch answer.content {
        case .upstream(let upstream): write(upstream, answer, form, to: &buffer)
        case .refusal(let refusal): write(refusal, answer, form, to: &buffer)
        case .report(let status):
            var content = ByteBuffer()
            status.writeJSON(to: &content)
            writeOK(content, answer, form, to: &buffer)
        case .accessToken(let token): write(token, answer, form, to: &buffer)
        case .userRegion(let region):
            writeOK(ByteBuffer(string: "{\"region\":\"\(region.name)\"}"), answer, form, to: &buffer)
        case .receipts(let results, let isList): writeOK(results.json(isList: isList), answer, form, to: &buffer)
        case .validation(let validation):
            var content = ByteBuffer()
            validation.writeJSON(to: &content)
            writeOK(content, answer, form, to: &buffer)
        case .page(let page): write(page, form, to: &buffer)
        }
    }

    private func write(_ page: Page, _ form: Form, to buffer: inout ByteBuffer) {
        Self.writeStatusLine(page.status, to: &buffer)
        Self.writeField("Content-Type", page.contentType, to: &buffer)
        buffer.writeStaticString(page.fieldLines)
        finish(&buffer, content: page.content, form)
    }

    /// RFC 6749 section 5.1.
    private func write(_ token: IssuedAccessToken, _ answer: Response, _ form: Form, to buffer: inout ByteBuffer) {
        let content = ByteBuffer(
            string: "{\"access_token\":\"\(token.text)\",\"expires_in\":\(token.lifetimeSeconds),"
                + "\"scope\":\"\(AccessTokenRequest.scope)\",\"token_type\":\"Bearer\"}")
        writeOK(content, answer, form, to: &buffer)
    }

    /// What the gateway itself tells one caller, and nobody else may keep.
    private func writeOK(_ content: ByteBuffer, _ answer: Response, _ form: Form, to buffer: inout ByteBuffer) {
        Self.writeStatusLine(200, to: &buffer)
        Self.writeGatewayFields(answer, to: &buffer)
        Self.writeField("Cache-Control", "no-store", to: &buffer)
        Self.writeField("Content-Type", "application/json", to: &buffer)
        finish(&buffer, content: content, form)
    }

    private func write(
        _ upstream: UpstreamResponse, _ answer: Response, _ form: Form, to buffer: inout ByteBuffer
    ) {
        var head: ByteBuffer?
        if let region = answer.region {
            if upstream.status == 202 {
                head = acceptedHeads[region]
            } else {
                Self.writeStatusLine(upstream.status, to: &buffer)
                Self.writeUpstreamFields(upstream.status, region, nextHops[region], to: &buffer)
            }
        } else {
            Self.writeStatusLine(upstream.status, to: &buffer)
            if let witness = answer.witness {
                buffer.writeStaticString("Proxy-Status: skillgate\r\n")
                Self.writeField("Gateway-Outcome", witness.rawValue, to: &buffer)
            }
        }
        let requestID = upstream.requestID
        let limit = (head?.readableBytes ?? 0) + (requestID.map { $0.characters + 20 } ?? 0)
        buffer.writePieces(limit: limit) { pieces in
            if let head { pieces.write(head) }
            if let requestID {
                pieces.write("X-Amzn-RequestId: ")
                requestID.write(to: &pieces)
                pieces.write("\r\n")
            }
        }
        if let retryAfter = upstream.retryAfter { Self.writeField("Retry-After", retryAfter, to: &buffer) }
        Self.writeGatewayFields(answer, to: &buffer)
        if upstream.status >= 400 && !JSONText.isReadableError(upstream.content) {
            var wrapped = ByteBuffer(string: "{\"message\":")
            JSONText.writeString(String(buffer: upstream.content), to: &wrapped)
            wrapped.writeStaticString("}")
            Self.writeField("Content-Type", "application/json", to: &buffer)
            finish(&buffer, content: wrapped, form)
        } else {
            if let contentType = upstream.contentType { Self.writeField("Content-Type", contentType, to: &buffer) }
            finish(&buffer, content: upstream.content, form)
        }
    }

    private func write(_ refusal: Refusal, _ answer: Response, _ form: Form, to buffer: inout ByteBuffer) {
        let row = refusal.problem.row
        Self.writeStatusLine(row.status, to: &buffer)
        if let region = answer.region { Self.writeField("Gateway-Region", region.name, to: &buffer) }
        buffer.writeStaticString("Proxy-Status: skillgate; error=")
        buffer.writeString(row.proxyStatusError)
        if let region = answer.region, row.status == 502 || row.status == 504 {
            buffer.writeString("; next-hop=\(nextHops[region])")
        }
        if let status = refusal.receivedStatus { buffer.writeString("; received-status=\(status)") }
        buffer.writeString("; details=\"\(refusal.problem.rawValue)\"\r\n")
        if row.status == 401 {
            let challenge =
                isForBrowsers
                ? "Basic realm=\"skillgate admin\", charset=\"UTF-8\", Bearer"
                : refusal.form == .oauth ? "Basic realm=\"skillgate\"" : "Bearer"
            Self.writeField("WWW-Authenticate", challenge, to: &buffer)
        }
        if let allow = refusal.allow { Self.writeField("Allow", allow, to: &buffer) }
        if let seconds = refusal.retryAfterSeconds { Self.writeField("Retry-After", "\(seconds)", to: &buffer) }
        Self.writeGatewayFields(answer, to: &buffer)
        if let documentation {
            // RFC 8288 section 3.
            buffer.writeString("Link: <\(documentation)\(row.type)>; rel=\"describedby\"\r\n")
        }
        switch refusal.form {
        case .problemDetails:
            Self.writeField("Content-Type", "application/problem+json", to: &buffer)
            finish(&buffer, content: Self.problemDetails(refusal, row, form.id), form)
        case .oauth:
            Self.writeField("Cache-Control", "no-store", to: &buffer)
            Self.writeField("Content-Type", "application/json", to: &buffer)
            finish(&buffer, content: Self.oauthError(refusal, row), form)
        }
    }

    /// RFC 6749 section 5.2.
    private static func oauthError(_ refusal: Refusal, _ row: Problem.Row) -> ByteBuffer {
        var content = ByteBuffer(string: "{\"error\":\"\(row.oauthError)\",\"error_description\":")
        JSONText.writeString(refusal.detail, to: &content)
        content.writeStaticString("}")
        return content
    }

    /// RFC 9457, plus `message` and never a `code`, for Amazon's SDKs.
    private static func problemDetails(_ refusal: Refusal, _ row: Problem.Row, _ id: ExchangeID) -> ByteBuffer {
        var content = ByteBuffer()
        content.writeString("{\"type\":\"urn:skillgate:problem:\(row.type)\",\"title\":")
        JSONText.writeString(row.title, to: &content)
        content.writeString(",\"status\":\(row.status),\"detail\":")
        JSONText.writeString(refusal.detail, to: &content)
        content.writeStaticString(",\"message\":")
        JSONText.writeString(refusal.detail, to: &content)
        content.writeStaticString(",\"instance\":\"")
        id.writeURN(to: &content)
        content.writeStaticString("\"}")
        return content
    }

    private static func writeUpstreamFields(
        _ status: Int, _ region: Region, _ nextHop: String, to buffer: inout ByteBuffer
    ) {
        writeField("Gateway-Region", region.name, to: &buffer)
        buffer.writeString("Proxy-Status: skillgate; next-hop=\(nextHop); received-status=\(status)\r\n")
    }

    private static func writeGatewayFields(_ answer: Response, to buffer: inout ByteBuffer) {
        if answer.isReplay { buffer.writeStaticString("Idempotent-Replayed: true\r\n") }
        if let deduplication = answer.deduplication {
            writeField("Gateway-Deduplication", deduplication.rawValue, to: &buffer)
        }
        if let key = answer.toldKey {
            buffer.writeStaticString("Gateway-Idempotency-Key: ")
            buffer.writeImmutableBuffer(key.characters)
            buffer.writeStaticString("\r\n")
        }
        if let quota = answer.quota { write(quota, to: &buffer) }
    }

    /// draft-ietf-httpapi-ratelimit-headers-09, sections 3 and 4.
    private static func write(_ quota: RateLimit.Quota, to buffer: inout ByteBuffer) {
        buffer.writeStaticString("RateLimit-Policy: \"requests\";q=")
        buffer.writeDecimal(quota.burst)
        buffer.writeStaticString(";w=")
        buffer.writeDecimal(quota.window)
        buffer.writeStaticString("\r\nRateLimit: \"requests\";r=")
        buffer.writeDecimal(quota.remaining)
        buffer.writeStaticString(";t=")
        buffer.writeDecimal(quota.secondsUntilFull)
        buffer.writeStaticString("\r\n")
    }

    private func finish(_ buffer: inout ByteBuffer, content: ByteBuffer, _ form: Form) {
        let contentBytes = form.hasContent ? content.readableBytes : 0
        let limit = ExchangeID.limitCharacters + form.dateLine.readableBytes + 128 + contentBytes
        buffer.writePieces(limit: limit) { pieces in
            pieces.write("X-Request-Id: ")
            form.id.write(to: &pieces)
            pieces.write("\r\n")
            pieces.write(form.dateLine)
            if isForBrowsers { pieces.write("X-Content-Type-Options: nosniff\r\n") }
            if !form.keepsAlive { pieces.write("Connection: close\r\n") }
            pieces.write("Content-Length: ")
            pieces.write(decimal: content.readableBytes)
            pieces.write("\r\n\r\n")
            if form.hasContent { pieces.write(content) }
        }
    }

    private static func writeField(_ name: StaticString, _ value: String, to buffer: inout ByteBuffer) {
        buffer.writePieces(limit: name.utf8CodeUnitCount + value.utf8.count + 4) { pieces in
            pieces.write(name)
            pieces.write(": ")
            pieces.write(value)
            pieces.write("\r\n")
        }
    }

    private static func writeStatusLine(_ status: Int, to buffer: inout ByteBuffer) {
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeDecimal(status)
        buffer.writeStaticString(" ")
        buffer.writeStaticString(reasonPhrase(status))
        buffer.writeStaticString("\r\n")
    }

    /// RFC 9110 section 15; an unusual status has none.
    private static func reasonPhrase(_ status: Int) -> StaticString {
        switch status {
        case 200: "OK"
        case 202: "Accepted"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: ""
        }
    }
}
