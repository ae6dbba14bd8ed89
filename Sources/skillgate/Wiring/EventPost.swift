import GatewayCore
import GatewayEvents
import TokenEndpointClient

/// Sends events to the receiver of a configuration.
struct EventPost: Equatable, Sendable {
    private static let responseLimitBytes = 64 * 1024

    private let configuration: GatewayConfiguration.EventsConfiguration
    private let signer: WebhookSigner
    /// The URL of the proxy that deliveries go through; nil: none.
    let proxyURL: String?

    /// Nil if one of the secrets is none: nothing leaves without a signature.
    init?(_ configuration: GatewayConfiguration.EventsConfiguration, _ proxy: GatewayConfiguration.Proxy) {
        guard let signer = try? WebhookSigner(secrets: configuration.signingSecrets) else { return nil }
        self.configuration = configuration
        self.signer = signer
        proxyURL = proxy.url(for: Self.withoutQuery(configuration.url))
    }

    /// Without the query, which may be a secret.
    var shownURL: String { Self.withoutQuery(configuration.url) }

    private static func withoutQuery(_ url: String) -> String { String(url.prefix { $0 != "?" }) }

    func transfer(_ event: CloudEvent) -> HTTPTransfer {
        var transfer = HTTPTransfer(
            "POST", configuration.url,
            fields: [("Content-Type", CloudEvent.contentType), ("User-Agent", Build.userAgent)]
                + signer.fields(id: event.id, unixTime: UnixTime.timestamp().seconds, content: event.content),
            content: event.content)
        transfer.purpose = .events
        transfer.contentLimitBytes = Self.responseLimitBytes
        // What counts is the status.
        transfer.isContentCut = true
        transfer.caFile = configuration.caFile
        transfer.proxy = proxyURL
        // An event may come twice: receivers know it by its id.
        transfer.sharesConnection = true
        return transfer
    }

    func perform(_ event: CloudEvent, then: @escaping @Sendable (EventSender.Outcome) -> Void) {
        transfer(event).perform { then(EventSender.Outcome($0)) }
    }

    /// Whether they are sent in the same way. Other events may be wanted.
    static func == (one: EventPost, other: EventPost) -> Bool {
        one.configuration.url == other.configuration.url && one.configuration.caFile == other.configuration.caFile
            && one.signer == other.signer && one.proxyURL == other.proxyURL
    }
}

extension EventSender.Outcome {
    init(_ result: Result<HTTPTransfer.Response, HTTPTransfer.Failure>) {
        switch result {
        case .success(let response) where (200...299).contains(response.status): self = .delivered
        case .success(let response):
            let isInTrouble = response.status >= 500 || [408, 425, 429].contains(response.status)
            self = .failed(
                isInTrouble ? .error : .rejected, detail: "status \(response.status)",
                retryAfter: response.retryAfter(unixTime: UnixTime.now()))
        case .failure(let failure):
            self = .failed(
                failure.reason == .timeout ? .timeout : .unreachable, detail: failure.description, retryAfter: nil)
        }
    }
}
