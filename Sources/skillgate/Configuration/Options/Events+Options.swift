import GatewayCore
import GatewayEvents

extension GatewayConfiguration {
    /// Where events are delivered.
    struct EventsConfiguration: Equatable, Sendable {
        var url = ""
        var secret = ""
        var nextSecret: String?
        var kinds = GatewayEvent.Kind.allCases
        var unknownOutcomeAge = Duration.seconds(300)
        /// The path of a PEM file whose certificates are trusted besides the system's.
        var caFile: String?

        var signingSecrets: [String] { [secret] + (nextSecret.map { [$0] } ?? []) }
    }

    static var eventsOption: ConfigurationOption<Self> {
        .optionalSection(
            "events", \.events, new: EventsConfiguration(), reloads: true,
            [
                .required(
                    "url", \.url, .webhookURL,
                    "gets a `POST` for each event: a CloudEvent as JSON, signed according to Standard Webhooks",
                    example: "https://ops.example.com/hooks/skillgate"),
                .requiredSecret(
                    "secret", \.secret, "signs the requests: `whsec_` and the Base64 of 24 to 64 random bytes",
                    example: "secrets/events"),
                .secret(
                    "nextSecret", \.nextSecret, "second signing secret, for rotation",
                    example: "secrets/events-next"),
                .values("types", \.kinds, .choice, "events to deliver"),
                .value(
                    "unknownOutcomeAfter", \.unknownOutcomeAge, .duration(.zero ... .seconds(86_400)),
                    "delay before an outcome that is still unknown is reported; half of the record's lifetime at most"),
                .file(
                    "caFile", \.caFile, "a PEM file", "certificates trusted for the URL, besides the system's",
                    example: "ca.pem", check: mistake(ofCAFile:_:)),
            ]
        ) { section, events, _ in
            for (name, secret) in [("secret", events.secret), ("nextSecret", events.nextSecret ?? "")]
            where !secret.isEmpty {
                if let mistake = WebhookSigner.mistake(in: secret) { section.report("`\(name)` \(mistake)", at: name) }
            }
            if events.kinds.isEmpty {
                section.report("`types` is empty, so that no event would be delivered", at: "types")
            }
        }
    }
}

extension ConfigurationValue where Value == String {
    /// Where a webhook is: as an endpoint, and there may be a query, which often is a secret.
    fileprivate static var webhookURL: Self {
        let endpoint = ConfigurationValue<APIEndpoint>.endpoint
        return Self(
            type: endpoint.type, expected: endpoint.expected,
            parse: { text in
                let base = text.prefix { $0 != "?" }
                let query = text.dropFirst(base.count)
                guard endpoint.parse(String(base)) != nil, query.isVisibleASCII || query.isEmpty,
                    !query.contains(where: { "#\\\"<>".contains($0) })
                else { return nil }
                return text
            },
            text: { url in
                let base = url.prefix { $0 != "?" }
                return base.isEmpty ? nil : base == url ? url : "\(base)?redacted"
            })
    }
}
