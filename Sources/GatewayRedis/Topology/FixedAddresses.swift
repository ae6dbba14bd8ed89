/// The addresses of the configuration, in turn.
final class FixedAddresses {
    private let addresses: [RedisConfiguration.Address]
    private var next = 0

    init(_ addresses: [RedisConfiguration.Address]) {
        self.addresses = addresses
    }

    func resolve(_ completion: (Result<RedisConfiguration.Address, RedisUnreachable>) -> Void) {
        guard !addresses.isEmpty else { return completion(.failure(.init(reason: "there is no address"))) }
        let address = addresses[next % addresses.count]
        next = (next + 1) % addresses.count
        completion(.success(address))
    }
}
