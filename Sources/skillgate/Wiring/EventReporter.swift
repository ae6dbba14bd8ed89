import FoundationEssentials
import GatewayCore
import GatewayEvents
import Logging
import NIOCore
import Synchronization

/// Events from the parts of the gateway to the receiver of the configuration.
final class EventReporter: Sendable {
    private struct State {
        var kinds: Set<GatewayEvent.Kind> = []
        /// Where they go; nil: nowhere.
        var post: EventPost?
        /// The token caches of the skills in force. Others are being tried.
        var tokens: Set<ObjectIdentifier> = []
        /// By skill, while its last fetch brought no token.
        var failing: [String: TokenFetchFailure] = [:]
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

    /// Called by one task alone, with what has been checked. Whoever is to hear of a kind from now on hears of what is failing already.
    func use(_ configuration: GatewayConfiguration, _ skills: [Skill]) {
        let post = configuration.events.flatMap { EventPost($0, configuration.upstream.proxy) }
        let expiries = skills.map { ($0.name, Self.expiry(of: $0.tokens)) }
        state.withLock { state in
            let earlier = (kinds: state.kinds, tokens: state.tokens, post: state.post)
            state.tokens = Set(skills.map { ObjectIdentifier($0.tokens) })
            state.kinds = Set(post == nil ? [] : configuration.events?.kinds ?? [])
            state.post = post
            // The sender's own lock is only ever taken within this one.
            sender.keep(only: state.kinds)
            if post != earlier.post { sender.use(post.map(Self.send)) }
            // One that was added has a token, or it would not have been.
            for skill in skills where !earlier.tokens.contains(ObjectIdentifier(skill.tokens)) {
                if state.failing.removeValue(forKey: skill.name) != nil {
                    report(.tokenRecovered(skill: skill.name), state)
                }
            }
            let names = Set(skills.map(\.name))
            state.failing = state.failing.filter { names.contains($0.key) }
            reportFailing(
                state, besides: post?.shownURL == earlier.post?.shownURL ? earlier.kinds : [],
                Dictionary(expiries, uniquingKeysWith: { one, _ in one }))
        }
    }

    /// Nil if there is no token.
    private static func expiry(of tokens: TokenCache) -> UnixTimestamp? {
        tokens.statistics().expires.map { UnixTime.timestamp() + Duration(from: .now(), to: $0) }
    }

    private static func send(by post: EventPost) -> EventSender.Post {
        { event, then in post.perform(event, then: then) }
    }

    private func reportFailing(
        _ state: borrowing State, besides earlier: Set<GatewayEvent.Kind>, _ expiries: [String: UnixTimestamp?]
    ) {
        if !earlier.contains(.tokenFailing) {
            for (skill, failure) in state.failing {
                report(.tokenFailing(skill: skill, failure, tokenExpires: expiries[skill] ?? nil), state)
            }
        }
        if !earlier.contains(.circuitOpened) {
            for region in Region.allCases where !state.open[region].isEmpty { report(.circuitOpened(region), state) }
        }
    }

    func report(_ event: GatewayEvent) {
        if state.withLock({ $0.kinds.contains(event.kind) }) { sender.report(event) }
    }

    /// In the order in which things happened, which receivers know by the time.
    private func report(_ occurrence: GatewayEvent.Occurrence, _ state: borrowing State) {
        let event = GatewayEvent(occurrence, at: UnixTime.timestamp())
        if state.kinds.contains(event.kind) { sender.report(event) }
    }

    /// - Parameter failure: nil: a token has come.
    func tokenFetchEnded(_ failure: TokenFetchFailure?, skill: String, _ tokens: TokenCache) {
        let expires = Self.expiry(of: tokens)
        state.withLock { state in
            guard state.tokens.contains(ObjectIdentifier(tokens)) else { return }
            defer { state.failing[skill] = failure }
            switch (state.failing[skill], failure) {
            case (nil, let failure?):
                report(.tokenFailing(skill: skill, failure, tokenExpires: expires), state)
            case (_?, nil): report(.tokenRecovered(skill: skill), state)
            case (nil, nil), (_?, _?): break
            }
        }
    }

    /// Each event loop has a circuit of its own (decision 14): the first that opens is reported, and the last that closes.
    func circuitChanged(_ circuit: CircuitState, _ region: Region, eventLoop: Int) {
        state.withLock { state in
            if circuit == .closed {
                guard state.open[region].remove(eventLoop) != nil, state.open[region].isEmpty else { return }
                report(.circuitClosed(region), state)
            } else {
                guard state.open[region].insert(eventLoop).inserted, state.open[region].count == 1 else { return }
                report(.circuitOpened(region), state)
            }
        }
    }

    /// Nil where no events are wanted, nor ever were.
    var snapshot: MetricsSnapshot.Events? {
        let events = sender.statistics
        return state.withLock({ $0.post != nil }) || events.statistics != EventStatistics() ? events : nil
    }

    /// Gives the events that are left one attempt each.
    func finish(within limit: Duration) async { try? await sender.finish(within: limit).get() }
}
