import Synchronization

/// What Amazon knows: clients, tokens, users, accepted messages. And what the simulator counts of it.
final class SimulatedAmazon: Sendable {
    struct Counters: Codable, Sendable {
        struct Region: Codable, Sendable {
            var received = 0
            var accepted = 0
            /// By the status they got, in decimal.
            var refused: [String: Int] = [:]
        }

        var tokenFetches = 0
        /// By the status they got, in decimal.
        var tokenAnswers: [String: Int] = [:]
        var messages: [String: Region] = [:]
        var deliveries = DeliveryCounters()
    }

    private struct Token {
        var clientID: String
        var expires: ContinuousClock.Instant
    }

    private struct State {
        var secrets: [String: [String]]
        var tokens: [String: Token] = [:]
        /// Users added to those whose names say where they live; nil: nowhere.
        var users: [String: SimulatedRegion?]
        var messages: [AcceptedMessage] = []
        var counters = Counters()
        var faults: Faults
        var rates: [Target: (second: Int, count: Int)] = [:]
        var generator = SystemRandomNumberGenerator()
        /// Where this simulator is reached, without the regions' paths.
        var baseURL = ""
    }

    /// Messages kept for `GET /_simulator/messages`; older ones are only counted.
    private static let messageLimit = 1_000_000

    private let clock = ContinuousClock()
    private let started: ContinuousClock.Instant
    private let state: Mutex<State>
    let deliveries = DeliveryBook()

    init(_ scenario: Scenario) {
        started = clock.now
        var secrets = ["amzn1.application-oa2-client.simulator": ["simulator-secret"]]
        for client in scenario.clients ?? [] { secrets[client.clientID] = client.secrets }
        var users: [String: SimulatedRegion?] = [:]
        for user in scenario.users ?? [] { users[user.userId] = .some(user.region) }
        state = Mutex(State(secrets: secrets, users: users, faults: scenario.faults ?? Faults()))
    }

    /// The secrets of each.
    var clients: [String: [String]] { state.withLock { $0.secrets } }

    // MARK: Faults

    var faults: Faults { state.withLock { $0.faults } }

    func setFaults(_ faults: Faults) {
        state.withLock { $0.faults = faults }
    }

    /// The fault that strikes this request, if one does. Counts down those that are limited.
    func strike(_ target: Target) -> Faults.Fault? {
        state.withLock { state in
            guard var fault = state.faults[target] else { return nil }
            if let count = fault.count, count <= 0 { return nil }
            if let probability = fault.probability,
                Double.random(in: 0..<1, using: &state.generator) >= probability
            {
                return nil
            }
            if let rate = fault.ratePerSecond {
                let second = Int(started.duration(to: clock.now).components.seconds)
                var window = state.rates[target] ?? (second, 0)
                if window.second != second { window = (second, 0) }
                window.count += 1
                state.rates[target] = window
                guard window.count > rate else { return nil }
                fault.status = fault.status ?? 429
            }
            if let count = fault.count { state.faults[target]?.count = count - 1 }
            return fault
        }
    }

    // MARK: Tokens

    func isClient(_ clientID: String, secret: String) -> Bool {
        state.withLock { $0.secrets[clientID]?.contains(secret) == true }
    }

    func setSecrets(_ secrets: [String], of clientID: String) {
        state.withLock { $0.secrets[clientID] = secrets }
    }

    /// A new token and its lifetime in seconds.
    func grantToken(to clientID: String) -> (token: String, lifetimeSeconds: Int) {
        state.withLock { state in
            let lifetime = state.faults.tokenLifetimeSeconds ?? 3600
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
            let random = String((0..<360).map { _ in alphabet[Int.random(in: 0..<64, using: &state.generator)] })
            let token = "Atc|" + random
            state.tokens[token] = Token(clientID: clientID, expires: clock.now + .seconds(lifetime))
            return (token, lifetime)
        }
    }

    /// The client a token was granted to, while it is valid.
    func client(ofToken token: String) -> String? {
        state.withLock { state in
            guard let found = state.tokens[token], found.expires > clock.now else { return nil }
            return found.clientID
        }
    }

    func revokeTokens() -> Int {
        state.withLock { state in
            defer { state.tokens.removeAll() }
            return state.tokens.count
        }
    }

    // MARK: Users

    /// Where a user lives; nil: nowhere.
    func home(of userId: String) -> SimulatedRegion? {
        if let added = state.withLock({ $0.users[userId] }) { return added }
        guard !userId.contains("GONE") else { return nil }
        return SimulatedRegion.allCases.first { userId.hasPrefix("amzn1.ask.account.\($0.rawValue)-") }
    }

    func setHome(of userId: String, to region: SimulatedRegion?) {
        state.withLock { $0.users[userId] = .some(region) }
    }

    // MARK: Messages

    func accept(_ message: AcceptedMessage) {
        state.withLock { state in
            if state.messages.count < Self.messageLimit { state.messages.append(message) }
            state.counters.messages[message.region.rawValue, default: .init()].accepted += 1
        }
    }

    func listening(at baseURL: String) {
        state.withLock { $0.baseURL = baseURL }
    }

    /// What skills are told to be the API of a region.
    func apiEndpoint(of region: SimulatedRegion) -> String {
        state.withLock { $0.baseURL } + "/" + region.rawValue.lowercased()
    }

    func messageReceived(_ region: SimulatedRegion) {
        state.withLock { $0.counters.messages[region.rawValue, default: .init()].received += 1 }
    }

    func messageRefused(_ region: SimulatedRegion, status: Int) {
        state.withLock {
            $0.counters.messages[region.rawValue, default: .init()].refused[String(status), default: 0] += 1
        }
    }

    func tokenAnswered(_ status: Int) {
        state.withLock { state in
            state.counters.tokenFetches += 1
            state.counters.tokenAnswers[String(status), default: 0] += 1
        }
    }

    /// The newest first.
    func newestMessages(_ count: Int) -> [AcceptedMessage] { state.withLock { $0.messages.suffix(count).reversed() } }

    var messages: [AcceptedMessage] { state.withLock { $0.messages } }

    var counters: Counters {
        state.withLock { state in
            var counters = state.counters
            counters.deliveries = deliveries.counters
            for region in SimulatedRegion.allCases where counters.messages[region.rawValue] == nil {
                counters.messages[region.rawValue] = .init()
            }
            return counters
        }
    }

    func forgetMessages() {
        state.withLock { state in
            state.messages.removeAll()
            state.counters = Counters()
        }
        deliveries.forget()
    }
}
