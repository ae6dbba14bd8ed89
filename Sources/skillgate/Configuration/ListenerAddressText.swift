import GatewayCore
import GatewayServer

/// Where a listener listens: `127.0.0.1:8080`, `unix:/run/skillgate/gateway.sock`, or `systemd:gateway` for a socket that the service
/// manager has opened.
enum ListenerAddressText: Equatable {
    case tcp(SocketAddressText)
    case unix(path: String)
    case inherited(name: String)

    fileprivate static let unixPrefix = "unix:"
    fileprivate static let inheritedPrefix = "systemd:"
    /// What `sockaddr_un` holds, less the end and the suffix under which a socket is bound at first.
    private static let longestPathBytes = 96

    init?(_ text: String) {
        if text.hasPrefix(Self.unixPrefix) {
            let path = String(text.dropFirst(Self.unixPrefix.count))
            guard path.hasPrefix("/"), !path.hasSuffix("/"), path.utf8.count <= Self.longestPathBytes else {
                return nil
            }
            self = .unix(path: path)
        } else if text.hasPrefix(Self.inheritedPrefix) {
            let name = String(text.dropFirst(Self.inheritedPrefix.count))
            // As FileDescriptorName= allows.
            guard (1...255).contains(name.utf8.count),
                name.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x3A })
            else { return nil }
            self = .inherited(name: name)
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
                "an address such as 127.0.0.1:8080 or [::1]:8080, or a Unix socket such as unix:/run/skillgate.sock, or a socket "
                + "of systemd such as systemd:skillgate",
            isShown: true, parse: { ListenerAddressText($0) },
            text: { address in
                switch address {
                case .tcp(let address): ConfigurationValue<SocketAddressText>.address.text(address)
                case .unix(let path): ListenerAddressText.unixPrefix + path
                case .inherited(let name): ListenerAddressText.inheritedPrefix + name
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
    /// Whether nobody can connect from another machine, as far as can be told from what is written.
    var isLocal: Bool {
        switch self {
        case .tcp(let host, _): APIEndpoint.isLoopback(host: host)
        case .unix: true
        // Known once the process has it.
        case .inherited: true
        }
    }
}
