import FoundationEssentials
import GatewayCore
import GatewayTraces
import NIOPosix
import TokenEndpointClient

/// Sends traces to the collector of a configuration.
struct TracePost: Equatable, Sendable {
    private static let responseLimitBytes = 64 * 1024

    private let configuration: GatewayConfiguration.TracesConfiguration
    private let document: TraceDocument
    /// The URL of the proxy that exports go through; nil: none.
    let proxyURL: String?

    init(
        _ configuration: GatewayConfiguration.TracesConfiguration, _ proxy: GatewayConfiguration.Proxy,
        _ endpoints: ByRegion<APIEndpoint>
    ) {
        self.configuration = configuration
        proxyURL = proxy.url(for: configuration.url)
        document = TraceDocument(
            resource: Self.resource(configuration), version: Build.version, endpoints: endpoints)
    }

    var url: String { configuration.url }

    /// Differs from process to process.
    private static let instance = UUID().uuidString.lowercased()

    /// What comes last wins: the configuration, and the name that it has an option for.
    private static func resource(
        _ configuration: GatewayConfiguration.TracesConfiguration
    ) -> [(name: String, value: String)] {
        var resource = [
            ("service.version", Build.version), ("service.instance.id", instance),
            ("host.name", ThisProcess.hostName), ("telemetry.sdk.name", "skillgate"),
            ("telemetry.sdk.language", "swift"), ("telemetry.sdk.version", Build.version),
        ].filter { !$0.1.isEmpty }
        resource += configuration.resourceAttributes.compactMap { TelemetryPairs.pair($0) }
        resource.append(("service.name", configuration.serviceName))
        var seen: Set<String> = []
        return resource.reversed().filter { seen.insert($0.0).inserted }.reversed()
    }

    func transfer(_ traces: [RequestTrace]) -> HTTPTransfer {
        var transfer = HTTPTransfer(
            "POST", configuration.url,
            fields: [("Content-Type", TraceDocument.contentType), ("User-Agent", Build.userAgent)]
                + configuration.fields,
            content: document.content(of: traces))
        transfer.purpose = .traces
        transfer.timeout = configuration.timeout
        transfer.connectTimeout = min(transfer.connectTimeout, configuration.timeout)
        transfer.contentLimitBytes = Self.responseLimitBytes
        // What counts is the status.
        transfer.isContentCut = true
        transfer.caFile = configuration.caFile
        transfer.proxy = proxyURL
        // Spans may come twice: collectors know them by their ids.
        transfer.sharesConnection = true
        return transfer
    }

    /// Whether it is one of OTLP/HTTP: JSON as was asked for, or nothing.
    static func isAnswer(_ response: HTTPTransfer.Response) -> Bool {
        response.content.isEmpty
            || (try? JSONDecoder().decode([String: PartialSuccess?].self, from: Data(response.content))) != nil
    }

    /// Writes them on another thread: a batch may be a megabyte.
    func perform(
        _ traces: [RequestTrace], on threads: NIOThreadPool, then: @escaping @Sendable (TraceExporter.Outcome) -> Void
    ) {
        threads.submit { state in
            guard case .active = state else {
                return then(.failed(.unreachable, detail: "the process ends", retryAfter: nil))
            }
            transfer(traces).perform { then(TraceExporter.Outcome($0)) }
        }
    }

    /// Whether they are sent in the same way. Other requests may be traced.
    static func == (one: TracePost, other: TracePost) -> Bool {
        var (one, other) = (one.configuration, other.configuration)
        (one.sampling, other.sampling) = (TraceSampling(), TraceSampling())
        return one == other
    }
}

extension TraceExporter.Outcome {
    init(_ result: Result<HTTPTransfer.Response, HTTPTransfer.Failure>) {
        switch result {
        case .success(let response) where (200...299).contains(response.status):
            let partial = PartialSuccess(response.content)
            self = .exported(rejected: partial.rejectedSpans, detail: partial.errorMessage)
        case .success(let response):
            // Those that the protocol says to send again after.
            let isInTrouble = [429, 502, 503, 504].contains(response.status)
            self = .failed(
                isInTrouble ? .error : .rejected, detail: "status \(response.status)",
                retryAfter: response.retryAfter(unixTime: UnixTime.now()))
        case .failure(let failure):
            self = .failed(
                failure.reason == .timeout ? .timeout : .unreachable, detail: failure.description, retryAfter: nil)
        }
    }
}

/// What a collector says of spans that it did not take (OpenTelemetry Protocol 1, "Partial Success").
private struct PartialSuccess: Decodable {
    private struct Document: Decodable {
        var partialSuccess: PartialSuccess?
    }

    var rejectedSpans = 0
    var errorMessage = ""

    private enum CodingKeys: CodingKey {
        case rejectedSpans, errorMessage
    }

    /// Whatever cannot be read says nothing.
    init(_ content: [UInt8]) {
        let document = try? JSONDecoder().decode(Document.self, from: Data(content))
        if let partial = document?.partialSuccess { self = partial }
    }

    /// Numbers of 64 bits are strings in the JSON of Protocol Buffers; both are accepted.
    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        rejectedSpans =
            (try? container.decode(Int.self, forKey: .rejectedSpans))
            ?? (try? container.decode(String.self, forKey: .rejectedSpans)).flatMap { Int($0) } ?? 0
        // Of a stranger's text, the beginning is enough for a log.
        errorMessage = String(((try? container.decode(String.self, forKey: .errorMessage)) ?? "").prefix(200))
    }
}
