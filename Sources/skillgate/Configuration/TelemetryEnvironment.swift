import GatewayCore

/// What OpenTelemetry's environment variables say of traces (OpenTelemetry specification, "Environment Variable Specification" and
/// "OpenTelemetry Protocol Exporter"). What they hold besides is not for the gateway.
struct TelemetryEnvironment {
    /// What is in force where the configuration says nothing else. Without a URL, traces are not exported.
    private(set) var traces = GatewayConfiguration.TracesConfiguration()
    /// Variables that are not taken as they are. A whole platform may set them for all that runs on it, so they keep nothing from starting.
    private(set) var warnings: [(variable: String, text: String)] = []

    private let variables: [String: String]

    init(_ variables: [String: String]) {
        self.variables = variables
        readExporter()
        readSampler()
        readResource()
    }

    /// An empty variable is none.
    private func value(_ names: String...) -> (name: String, text: String)? {
        for name in names {
            if let text = variables[name], !text.isEmpty { return (name, text) }
        }
        return nil
    }

    private mutating func warn(_ variable: String, _ text: String) { warnings.append((variable, text)) }

    // MARK: Exporter

    private mutating func readExporter() {
        if let (name, file) = value("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE") {
            if let mistake = GatewayConfiguration.mistake(inCertificates: file) {
                warn(name, mistake)
            } else {
                traces.caFile = file
            }
        }
        if let (name, text) = value("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS") {
            if let mistake = TelemetryPairs.mistake(inFields: text) {
                warn(name, mistake)
            } else {
                traces.headers = text
            }
        }
        if let (name, text) = value("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT") {
            if let milliseconds = Int64(text), (100...60_000).contains(milliseconds) {
                traces.timeout = .milliseconds(milliseconds)
            } else {
                warn(name, "is `\(text)`; expected milliseconds from 100 to 60000")
            }
        }
        for name in ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"]
        where variables[name] != nil {
            warn(name, "is set; the gateway presents no client certificate to collectors")
        }
        guard let (name, url) = endpoint, isWanted else { return }
        guard let endpoint = try? APIEndpoint(parsing: url) else {
            return warn(name, "is not the URL of an OTLP/HTTP receiver, so no traces are exported to it")
        }
        if let (name, text) = value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
            text.lowercased() != "http/json"
        {
            guard text.lowercased() == "http/protobuf" else {
                return warn(
                    name,
                    "is `\(text)`; the gateway speaks http/json, so no traces are exported to \(endpoint.authority)")
            }
            warn(name, "is `\(text)`; the gateway sends http/json to the same URL, which most collectors take, too")
        }
        traces.url = url
    }

    private var endpoint: (name: String, url: String)? {
        if let (name, url) = value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") { return (name, url) }
        guard let (name, base) = value("OTEL_EXPORTER_OTLP_ENDPOINT") else { return nil }
        return (name, base + (base.hasSuffix("/") ? "v1/traces" : "/v1/traces"))
    }

    /// Whether a receiver is named, be it used or not.
    var hasEndpoint: Bool { endpoint != nil }

    private var isWanted: Bool {
        if value("OTEL_SDK_DISABLED")?.text.lowercased() == "true" { return false }
        guard let (_, exporters) = value("OTEL_TRACES_EXPORTER") else { return true }
        return exporters.split(separator: ",").contains {
            $0.filter { $0 != " " }.lowercased() == "otlp"
        }
    }

    // MARK: Sampler and resource

    private mutating func readSampler() {
        guard let (name, text) = value("OTEL_TRACES_SAMPLER") else { return }
        let sampler = text.lowercased()
        let isParentBased = sampler.hasPrefix("parentbased_")
        switch isParentBased ? String(sampler.dropFirst("parentbased_".count)) : sampler {
        case "always_on": traces.sampling.ratio = 1
        case "always_off": traces.sampling.ratio = 0
        case "traceidratio": readRatio()
        default:
            return warn(
                name,
                "is `\(text)`; expected always_on, always_off or traceidratio, with or without `parentbased_` before it"
            )
        }
        traces.sampling.isParentBased = isParentBased
    }

    private mutating func readRatio() {
        guard let (name, text) = value("OTEL_TRACES_SAMPLER_ARG") else { return }
        guard let ratio = Self.ratio(text) else { return warn(name, "is `\(text)`; expected a number from 0 to 1") }
        traces.sampling.ratio = ratio
    }

    static func ratio(_ text: String) -> Double? {
        // Neither hexadecimal nor `nan`.
        guard text.allSatisfy({ "0123456789.eE-+".contains($0) }), let ratio = Double(text), (0...1).contains(ratio)
        else { return nil }
        return ratio
    }

    private mutating func readResource() {
        if let (name, text) = value("OTEL_RESOURCE_ATTRIBUTES") {
            if let pairs = TelemetryPairs.parse(text) {
                traces.resourceAttributes = text.split(separator: ",").map(String.init).filter {
                    TelemetryPairs.pair($0)?.name != "service.name"
                }
                let service = pairs.last { $0.name == "service.name" }
                if let service, TelemetryPairs.isName(service.value) { traces.serviceName = service.value }
            } else {
                warn(name, "is not a list of attributes; expected `name=value`, separated by commas")
            }
        }
        guard let (name, text) = value("OTEL_SERVICE_NAME") else { return }
        if TelemetryPairs.isName(text) {
            traces.serviceName = text
        } else {
            warn(name, "is not 1 to 255 characters of one line")
        }
    }
}
