import NIOCore

/// Asks Sentinels, one after the other, where the master is.
final class SentinelResolver {
    typealias Completion = (Result<RedisConfiguration.Address, RedisUnreachable>) -> Void

    private let connector: RedisConnector
    private let master: String
    /// The one that answered last comes first.
    private var sentinels: [RedisConfiguration.Address]

    init(_ connector: RedisConnector, master: String) {
        self.connector = connector
        self.master = master
        sentinels = connector.configuration.addresses
    }

    func resolve(_ completion: @escaping Completion) {
        ask(sentinels[...], [], completion)
    }

    private func ask(
        _ rest: ArraySlice<RedisConfiguration.Address>, _ failures: [String], _ completion: @escaping Completion
    ) {
        guard let sentinel = rest.first else {
            let reasons = failures.joined(separator: "; ")
            return completion(.failure(.init(reason: "no Sentinel knows the master `\(master)`: \(reasons)")))
        }
        query(sentinel) { result in
            switch result {
            case .success(let address):
                self.sentinels.removeAll { $0 == sentinel }
                self.sentinels.insert(sentinel, at: 0)
                completion(.success(address))
            case .failure(let unreachable):
                self.ask(rest.dropFirst(), failures + ["\(sentinel): \(unreachable.reason)"], completion)
            }
        }
    }

    private func query(_ sentinel: RedisConfiguration.Address, _ completion: @escaping Completion) {
        let request = RedisRequest(.plain(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master]))
        var connection: RedisConnection?
        var outcome: Result<RedisConfiguration.Address, RedisUnreachable>?
        connection = connector.connect(to: sentinel, as: .sentinel) { event in
            switch event {
            case .ready:
                connection?.send(request) { reply in
                    outcome = Self.read(reply)
                    connection?.close("done")
                }
            case .closed(let reason, _):
                connection = nil
                completion(outcome ?? .failure(.init(reason: reason)))
            }
        }
    }

    private static func read(
        _ reply: Result<RESPValue, RedisFailure>
    ) -> Result<RedisConfiguration.Address, RedisUnreachable>? {
        guard case .success(let value) = reply else { return nil }
        guard case .array(let elements) = value, elements.count == 2, let host = elements[0].text,
            let port = elements[1].text.flatMap({ Int($0) }), (1...65_535).contains(port)
        else { return .failure(.init(reason: "it does not know it")) }
        return .success(.init(host: host, port: port))
    }
}
