import NIOCore

/// Parses what controls forwarding, in fields of the request and before its path, and refuses invalid values.
struct RequestFields {
    private let request: InboundRequest
    private let base: BasePath
    private var head: RequestHead { request.head }
    private var headBytes: ByteBuffer { request.headBytes }

    init(_ request: InboundRequest, _ base: BasePath) {
        self.request = request
        self.base = base
    }

    /// The caller's trace context, if the request has a valid one.
    var trace: TraceContext? {
        head.traceParent.flatMap { TraceContext(parsing: headBytes.readableBytesUInt8Span, $0) }
    }

    func refuseRepeated() throws(Refusal) {
        guard let field = head.repeatedField else { return }
        let problem: Problem = field == .idempotencyKey ? .idempotencyKeyInvalid : .fieldInvalid
        throw Refusal(problem, "field `\(field.rawValue)` is given twice; expected it once")
    }

    /// The name of the skill that is stated, and where it stands; nil: none is.
    func statedSkill() throws(Refusal) -> (name: String, place: String)? {
        let bytes = headBytes.readableBytesUInt8Span
        let field = head.gatewaySkill.map { bytes.text($0) }
        guard let segment = base.skill else { return field.map { ($0, "field `Gateway-Skill`") } }
        guard let name = PercentEncoding.decode(bytes, segment).flatMap({ String(validating: $0, as: UTF8.self) })
        else {
            throw Refusal(
                .fieldInvalid, "the skill in the path is not percent-encoded UTF-8")
        }
        guard field ?? name == name else {
            throw Refusal(.fieldInvalid, "the path and field `Gateway-Skill` state two skills")
        }
        return (name, "the path")
    }

    func idempotencyKey() throws(Refusal) -> IdempotencyKey? {
        guard let field = head.idempotencyKey else { return nil }
        do {
            return try IdempotencyKey(parsing: field, of: headBytes)
        } catch {
            throw Refusal(error)
        }
    }

    func consentsToResend() throws(Refusal) -> Bool { try boolean(.idempotencyResend, head.idempotencyResend) }

    func isOnlyToBeValidated() throws(Refusal) -> Bool { try boolean(.gatewayValidateOnly, head.gatewayValidateOnly) }

    /// For a request that changes something and is no message: it would not be what its sender expects.
    func refuseValidationOnly() throws(Refusal) {
        guard try isOnlyToBeValidated() else { return }
        throw Refusal(.fieldInvalid, "field `Gateway-Validate-Only` is for messages; this request would take effect")
    }

    /// A structured-field boolean (RFC 9651 section 3.3.6); false where it is missing.
    private func boolean(_ name: RequestHead.SingleField, _ field: Range<Int>?) throws(Refusal) -> Bool {
        guard let field else { return false }
        let bytes = headBytes.readableBytesUInt8Span
        if bytes.isEqual(field, to: "?1") { return true }
        guard bytes.isEqual(field, to: "?0") else {
            throw Refusal(.fieldInvalid, "field `\(name.rawValue)` is neither `?1` nor `?0`")
        }
        return false
    }

    /// How long the caller waits: a structured-field integer or decimal (RFC 9651 sections 3.3.1 and 3.3.2), in seconds. Nil: it
    /// does not say.
    func timeout() throws(Refusal) -> TimeAmount? {
        guard let field = head.gatewayTimeout else { return nil }
        let bytes = headBytes.readableBytesUInt8Span
        let point = bytes.first(UInt8(ascii: "."), in: field)
        let digits = point + 1..<max(point + 1, field.upperBound)
        guard (1...9).contains(point - field.lowerBound), let seconds = bytes.decimal(field.lowerBound..<point),
            let fraction = point == field.upperBound ? 0 : digits.count > 3 ? nil : bytes.decimal(digits),
            case let milliseconds = seconds * 1000 + fraction
                * [1, 100, 10, 1][point == field.upperBound ? 0 : digits.count],
            milliseconds > 0
        else {
            throw Refusal(
                .fieldInvalid,
                "field `Gateway-Timeout` is not a number of seconds above 0 with at most three decimals, as in `2.5`")
        }
        return .milliseconds(Int64(milliseconds))
    }

    func refuseContentEncoding() throws(Refusal) {
        guard let field = head.contentEncoding else { return }
        guard headBytes.readableBytesUInt8Span.isEqualIgnoringCase(field, to: "identity") else {
            throw Refusal(.fieldInvalid, "field `Content-Encoding` is given; expected plain JSON")
        }
    }

    /// Where the user lives, as the request has it.
    func statedRegion(in directory: RegionDirectory) throws(Refusal) -> Region? {
        let bytes = headBytes.readableBytesUInt8Span
        var stated = base.region
        if let field = head.gatewayRegion {
            guard let region = Region(bytes, field) else {
                throw Refusal(.fieldInvalid, "field `Gateway-Region` is not `NA`, `EU` or `FE`")
            }
            guard stated ?? region == region else {
                throw Refusal(
                    .fieldInvalid, "the path and field `Gateway-Region` state two regions")
            }
            stated = region
        }
        if let field = head.gatewayAPIEndpoint {
            guard let region = directory.region(of: bytes, field) else {
                throw Refusal(
                    .fieldInvalid, "field `Gateway-Api-Endpoint` is not the endpoint of a configured region")
            }
            if let stated, stated != region {
                let place = head.gatewayRegion == nil ? "the path" : "field `Gateway-Region`"
                throw Refusal(
                    .fieldInvalid,
                    "\(place) says \(stated.name) and field `Gateway-Api-Endpoint` says \(region.name)")
            }
            stated = region
        }
        return stated
    }

    /// The first region to try if the user's region is unknown: the skill's default or, with `discovery: probe`, the first
    /// region that the caller may use.
    func assumedRegion(
        of skill: Skill, for caller: Caller, _ discovery: RegionDiscovery
    ) throws(Refusal) -> Region {
        if let region = skill.defaultRegion { return region }
        if discovery == .probe, let region = Region.allCases.first(where: caller.maySend) { return region }
        throw Refusal(
            .regionUnknown,
            "expected field `Gateway-Region` (`NA`, `EU`, `FE`), a path that begins with `/regions/{region}`, or "
                + "`Gateway-Api-Endpoint` (the user's `context.System.apiEndpoint`); the user's region is not known, and the skill has no default region"
        )
    }
}
