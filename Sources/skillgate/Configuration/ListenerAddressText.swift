import GatewayCore
import GatewayServer

/// Where a listener listens: `127.0.0.1:8080` or `unix:/run/skillgate/gateway.sock`.
enum ListenerAddressText: Equatable {
    case tcp(SocketAddressText)
    case unix(path: String)

    fileprivate static let unixPrefix = "unix:"
    /// What `sockaddr_un` holds, less the end and the suffix under which a socket is bound at first.
    private static let longestPathBytes = 96

    init?(_ text: String) {
        if text.hasPrefix(Self.unixPrefix) {
            let path = String(text.dropFirst(Self.unixPrefix.count))
            guard path.hasPrefix("/"), !path.hasSuffix("/"), path.utf8.count <= Self.longestPathBytes else {
                return nil
            }
            self = .unix(path: path)
        } else {
            guard let address = SocketAddressText(text) else { return nil }
            self = .tcp(address)
        }
    }
}

extension ConfigurationValue where Value == ListenerAddressText {
    static var listenerAddress: Self {
        Self(
            type: "address",
            expected:
                "an address such as 127.0.0.1:8080 or [::1]:8080, or a Unix socket such as unix:/run/skillgate.sock",
            isShown: true, parse: { ListenerAddressText($0) },
            text: { address in
                switch address {
                case .tcp(let address): ConfigurationValue<SocketAddressText>.address.text(address)
                case .unix(let path): ListenerAddressText.unixPrefix + path
                }
            })
    }
}

extension ConfigurationValue where Value == UInt32 {
    static var fileMode: Self {
        Self(
            type: "file mode", expected: "a file mode in octal digits, such as 0660", isShown: true,
            schema: JSONSchema("string", "integer"),
            parse: { text in UInt32(text, radix: 8).flatMap { (0...0o777).contains($0) ? $0 : nil } },
            text: { "0" + String($0, radix: 8) })
    }
}

extension ListenerConfiguration.Address {
    /// Whether nobody can connect from another machine.
    var isLocal: Bool {
        switch self {
        case .tcp(let host, _): APIEndpoint.isLoopback(host: host)
        case .unix: true
        }
    }
}
