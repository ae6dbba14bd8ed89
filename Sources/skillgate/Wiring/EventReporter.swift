import FoundationEssentials
import GatewayCore
import GatewayEvents
import Logging
import NIOCore
import Synchronization
import TokenEndpointClient

/// What machines are told: from the parts of the gateway to the receiver of the configuration.
final class EventReporter: Sendable {
    private struct State {
        var kinds: Set<GatewayEvent.Kind> = []
        /// Skills that there was no new token for when one was asked for last.
        var failing: Set<String> = []
        /// Event loops whose circuit is open.
        var open = ByRegion { _ in Set<Int>() }
    }

    private let sender: EventSender
    private let state = Mutex(State())

    init(controlLoop: any EventLoop, _ logger: Logger) {
        let log = EventLog(logger)
        sender = EventSender(
            host: ThisProcess.hostName, timers: controlLoop, makeID: { UUID().uuidString.lowercased() },
            onNotice: { log.report($0) })
    }

    /// Called by one task alone, with what has been checked.
    func use(_ configuration: GatewayConfiguration) {
        let post = configuration.events.map { EventPost($0, configuration.upstream.proxy) }
        state.withLock { state in
            let kinds = Set(configuration.events?.kinds ?? [])
            // Whoever is told from now on hears of what goes on failing.
            if state.kinds.isEmpty { (state.failing, state.open) = ([], ByRegion { _ in [] }) }
            state.kinds = kinds
        }
        guard let post else { return sender.use(nil) }
        sender.use { event, then in post.perform(event, then: then) }
    }

    func report(_ event: GatewayEvent) {
        if state.withLock({ $0.kinds.contains(event.kind) }) { sender.report(event) }
    }

    /// - Parameter failure: nil: a token has come.
    func tokenFetchEnded(_ failure: TokenFetchFailure?, skill: String) {
        let isChange = state.withLock { state in
            failure == nil ? state.failing.remove(skill) != nil : state.failing.insert(skill).inserted
        }
        guard isChange else { return }
        tell(failure.map { .tokenFailing(skill: skill, $0) } ?? .tokenRecovered(skill: skill))
    }

    /// Each event loop has a circuit of its own; machines are told of the first that opens, and of the last that closes.
    func circuitChanged(_ circuit: CircuitState, _ region: Region, eventLoop: Int) {
        let isChange = state.withLock { state in
            if circuit == .closed { return state.open[region].remove(eventLoop) != nil && state.open[region].isEmpty }
            return state.open[region].insert(eventLoop).inserted && state.open[region].count == 1
        }
        guard isChange else { return }
        tell(circuit == .closed ? .circuitClosed(region) : .circuitOpened(region))
    }

    private func tell(_ occurrence: GatewayEvent.Occurrence) {
        report(GatewayEvent(occurrence, at: UnixTime.timestamp()))
    }

    var statistics: (ended: EventStatistics, queued: Int) { sender.statistics }

    func finish(atMost limit: Duration) async { try? await sender.finish(atMost: limit).get() }
}

/// One attempt after the other to deliver an event.
struct EventPost: Sendable {
    private static let answerLimitBytes = 64 * 1024

    private let configuration: GatewayConfiguration.EventsConfiguration
    private let proxy: GatewayConfiguration.Proxy
    private let signer: WebhookSigner?

    init(_ configuration: GatewayConfiguration.EventsConfiguration, _ proxy: GatewayConfiguration.Proxy) {
        self.configuration = configuration
        self.proxy = proxy
        signer = try? WebhookSigner(secrets: configuration.signingSecrets)
    }

    /// Without the query, which may be a secret.
    var shownURL: String { String(configuration.url.prefix { $0 != "?" }) }
    /// The URL of the proxy that deliveries go through; nil: none.
    var proxyURL: String? { proxy.url(for: shownURL) }

    func transfer(_ event: CloudEvent) -> HTTPTransfer {
        var transfer = HTTPTransfer(
            "POST", configuration.url,
            fields: [("Content-Type", CloudEvent.contentType), ("User-Agent", Build.userAgent)],
            content: event.content)
        transfer.fields +=
            signer?.fields(id: event.id, unixTime: UnixTime.timestamp().seconds, content: event.content) ?? []
        transfer.contentLimitBytes = Self.answerLimitBytes
        transfer.caFile = configuration.caFile
        transfer.proxy = proxyURL
        // An event may come twice: receivers know it by its id.
        transfer.sharesConnection = true
        return transfer
    }

    func perform(_ event: CloudEvent, then: @escaping @Sendable (EventSender.Result) -> Void) {
        transfer(event).perform { then(EventSender.Result($0)) }
    }
}

extension EventSender.Result {
    init(_ result: Result<HTTPTransfer.Response, HTTPTransfer.Failure>) {
        switch result {
        case .success(let response) where (200...299).contains(response.status): self = .delivered
        case .success(let response):
            let seconds = response.field("Retry-After").flatMap { Int($0) }.map { max(0, $0) }
            self = .failed(
                .refused, detail: "status \(response.status)",
                retryAfter: seconds.map { .seconds(min($0, 86_400)) })
        case .failure(let failure):
            self = .failed(
                failure.reason == .timeout ? .timeout : .unreachable, detail: failure.description, retryAfter: nil)
        }
    }
}

/// Says that events are not delivered, and that they are again.
private final class EventLog: Sendable {
    private let logger: Logger
    private let pace = Mutex(LogPace<Bool>())

    init(_ logger: Logger) {
        self.logger = logger
    }

    func report(_ notice: EventSender.Notice) {
        switch notice {
        case .failed(let detail):
            guard pace.withLock({ $0.isDue(true, now: .now()) }) else { return }
            logger.warning(
                "an event could not be delivered; it is tried again", metadata: ["gateway.events.detail": "\(detail)"])
        case .delivered: logger.notice("events are delivered again")
        case .left(let count):
            logger.warning(
                "the process ends, and not all events are delivered", metadata: ["gateway.events.left": "\(count)"])
        }
    }
}
