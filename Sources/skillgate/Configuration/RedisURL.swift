import GatewayCore
import GatewayRedis

/// `redis://host:port/database`, or `rediss://` for TLS. Several hosts, parted by commas, are nodes of one cluster, or
/// its Sentinels.
struct RedisURL: Equatable {
    var isSecure: Bool
    var addresses: [RedisConfiguration.Address]
    var database: Int

    /// Nil for what is none, and for one that holds a password: secrets are given by reference only.
    init?(_ text: String) {
        let schemes = [("rediss://", true), ("redis://", false)]
        guard let (scheme, isSecure) = schemes.first(where: { text.hasPrefix($0.0) }) else { return nil }
        self.isSecure = isSecure
        let parts = text.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), !parts[0].contains("@") else { return nil }
        database = 0
        if parts.count == 2, !parts[1].isEmpty {
            guard let number = Int(parts[1]), (0...65_535).contains(number) else { return nil }
            database = number
        }
        addresses = []
        for place in parts[0].split(separator: ",", omittingEmptySubsequences: false) {
            guard let address = Self.address(place) else { return nil }
            addresses.append(address)
        }
    }

    private static func address(_ text: Substring) -> RedisConfiguration.Address? {
        guard let address = try? HostAndPort(parsing: text) else { return nil }
        return RedisConfiguration.Address(host: address.host, port: address.port ?? 6379)
    }
}

extension RedisURL: CustomStringConvertible {
    var description: String {
        "\(isSecure ? "rediss" : "redis")://\(addresses.map(\.description).joined(separator: ","))/\(database)"
    }
}

extension ConfigurationValue where Value == RedisURL {
    static var redisURL: Self {
        Self(
            type: "URL",
            expected: "a URL such as rediss://redis.internal:6379/0, without a user and password (use `username` and "
                + "`password`)",
            parse: { RedisURL($0) }, text: \.description)
    }
}

extension ConfigurationValue where Value == String {
    /// What keys in Redis begin with.
    static var keyPrefix: Self {
        Self(
            type: "text", expected: "1 to 64 visible ASCII characters",
            parse: { $0.isVisibleASCII && (1...64).contains($0.utf8.count) ? $0 : nil }, text: { $0 })
    }
}
