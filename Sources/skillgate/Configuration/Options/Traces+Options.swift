import GatewayCore

extension GatewayConfiguration {
    /// Where traces are exported, and which requests have one.
    struct TracesConfiguration: Equatable, Sendable {
        /// Of an OTLP/HTTP receiver, its path included.
        var url = ""
        /// `name=value` pairs, separated by commas.
        var headers: String?
        /// The path of a PEM file whose certificates are trusted besides the system's.
        var caFile: String?
        var timeout = Duration.seconds(10)
        var sampling = TraceSampling()
        var serviceName = "skillgate"
        /// `name=value`.
        var resourceAttributes: [String] = []

        /// Over a network.
        var sendsSecretsInClear: Bool {
            guard headers != nil, let endpoint = try? APIEndpoint(parsing: url) else { return false }
            return !endpoint.isSecure && !endpoint.isLoopback
        }

        var fields: [(name: String, value: String)] {
            headers.flatMap(TelemetryPairs.parse(_:)) ?? []
        }
    }

    static var tracesOption: ConfigurationOption<Self> {
        .optionalSection(
            "traces", \.traces, new: TracesConfiguration(), reloads: true,
            begin: { $0.reader.telemetry.traces },
            [
                .value(
                    "url", \.url, .collectorURL,
                    "where traces are exported: OTLP over HTTP, as JSON",
                    otherwise: "required here or in `OTEL_EXPORTER_OTLP_ENDPOINT`",
                    example: "http://otel-collector:4318/v1/traces"),
                .secret(
                    "headers", \.headers, "fields of the export requests: `name=value`, separated by commas",
                    example: "secrets/otlp-headers"),
                .file(
                    "caFile", \.caFile, "a PEM file", "certificates trusted for the URL, besides the system's",
                    example: "ca.pem", check: mistake(ofCAFile:_:)),
                .value("timeout", \.timeout, .duration(.milliseconds(100) ... .seconds(60)), "for one export request"),
                .value(
                    "ratio", \.sampling.ratio, .ratio,
                    "fraction of requests that are traced, of those whose caller has made no decision"),
                .value(
                    "parentBased", \.sampling.isParentBased, .boolean,
                    "a valid `traceparent` of the caller decides whether its request is traced"),
                .value(
                    "upstream", \.sampling.reachesUpstream, .boolean,
                    "requests to the regions carry `traceparent` (Amazon ignores it)"),
                .value(
                    "serviceName", \.serviceName, .text("a name"), "`service.name` of the traces"),
                .values(
                    "resourceAttributes", \.resourceAttributes, .resourceAttribute, "further attributes of the process",
                    example: "[deployment.environment.name=production]"),
            ]
        ) { section, traces, _ in
            if traces.url.isEmpty, !section.has("url"),
                !section.reader.telemetry.hasEndpoint
            {
                section.reportMissing("url", expected: "the URL of an OTLP/HTTP receiver, which ends in `/v1/traces`")
            }
            if let mistake = traces.headers.flatMap(TelemetryPairs.mistake(inFields:)) {
                section.report("`headers` \(mistake)", at: "headers")
            }
            if traces.resourceAttributes.contains(where: { TelemetryPairs.pair($0)?.name == "service.name" }) {
                section.report(
                    "`resourceAttributes` holds `service.name`; expected `serviceName`", at: "resourceAttributes")
            }
            if !TelemetryPairs.isName(traces.serviceName) {
                section.report("`serviceName` is not 1 to 255 characters of one line", at: "serviceName")
            }
            if traces.sendsSecretsInClear {
                section.reader.warn(
                    "`traces.headers` go over the network unencrypted; expected an https URL",
                    at: section.mark(of: "url"))
            }
        }
    }
}

/// What OpenTelemetry's environment variables hold: `name=value` pairs (W3C Baggage, without properties).
enum TelemetryPairs {
    /// Nil if one of them is none.
    static func parse(_ text: String) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        for part in text.split(separator: ",") {
            guard let pair = pair(part) else { return nil }
            pairs.append(pair)
        }
        return pairs
    }

    /// What is wrong with a list of fields; nil if nothing is.
    static func mistake(inFields text: String) -> String? {
        guard let fields = parse(text) else {
            return "is not a list of fields; expected `name=value`, separated by commas, values percent-encoded"
        }
        if fields.contains(where: { $0.value.isEmpty }) { return "holds a field without a value" }
        // They say where a request ends, or what it is.
        let own = [
            "content-length", "transfer-encoding", "connection", "host", "expect", "te", "upgrade", "content-type",
        ]
        return fields.first { own.contains($0.name.lowercased()) }.map {
            "holds the field `\($0.name)`, which is the request's own"
        }
    }

    /// Values are percent-encoded.
    static func pair(_ text: some StringProtocol) -> (name: String, value: String)? {
        guard let sign = text.firstIndex(of: "=") else { return nil }
        let name = trimmed(text[..<sign])
        let encoded = Array(trimmed(text[text.index(after: sign)...]).utf8)
        guard !name.isEmpty, name.isVisibleASCII, !name.contains(where: { "\"():;<>?@[\\]{}".contains($0) }),
            let decoded = PercentEncoding.decode(encoded.span, 0..<encoded.count),
            let value = String(validating: decoded, as: UTF8.self),
            !value.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return nil }
        return (name, value)
    }

    /// Whether it can be the name of a service.
    static func isName(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count)
            && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        String(text.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
    }
}

extension ConfigurationValue where Value == String {
    /// Spans hold no secrets, and collectors stand where TLS is not usual.
    fileprivate static var collectorURL: Self {
        Self(
            type: "URL", expected: "an https or http URL without a query, such as http://otel-collector:4318/v1/traces",
            isShown: true, schema: JSONSchema("string", pattern: "^https?://"),
            parse: { (try? APIEndpoint(parsing: $0)) == nil ? nil : $0 }, text: { $0.isEmpty ? nil : $0 })
    }

    fileprivate static var resourceAttribute: Self {
        Self(
            type: "attribute", expected: "`name=value`", isShown: true,
            schema: JSONSchema("string", pattern: "^[^=]+=.*$"),
            parse: { TelemetryPairs.pair($0) == nil ? nil : $0 }, text: { $0 })
    }
}

extension ConfigurationValue where Value == Double {
    fileprivate static var ratio: Self {
        Self(
            type: "number from 0 to 1", expected: "a number from 0 to 1, such as 0.01", isShown: true,
            schema: .ratio, parse: TelemetryEnvironment.ratio(_:),
            text: { $0 == $0.rounded() ? "\(Int($0))" : "\($0)" })
    }
}
