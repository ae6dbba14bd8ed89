import GatewayCore
import GatewayRedis
import GatewayServer

/// How the text of a scalar becomes a value, and what to tell who wrote something else.
struct ConfigurationValue<Value> {
    /// In the words of the documentation: `duration`.
    let type: String
    let expected: String
    /// Whether a value that is wrong is shown in the message. False where it may hold a secret: a password in a URL, or a secret
    /// in the place of a reference to it.
    var isShown = false
    var schema = JSONSchema.string
    let parse: (String) -> Value?
    /// The inverse: the scalar that stands for a value; nil for a value that only stands where nothing was written.
    let text: (Value) -> String?

    /// Of several such values, in the words of the documentation.
    var plural: String { type.hasSuffix("`") ? type : type + "s" }
}

extension ConfigurationValue where Value == String {
    static func text(_ expected: String, type: String = "text") -> Self {
        Self(type: type, expected: expected, schema: .text, parse: { $0.isEmpty ? nil : $0 }, text: { $0 })
    }

    static func path(of what: String) -> Self {
        Self(type: "path", expected: "the path of \(what)", parse: { $0.isEmpty ? nil : $0 }, text: { $0 })
    }

    static func visibleASCII(_ expected: String, type: String) -> Self {
        Self(
            type: type, expected: expected + ", in visible ASCII characters",
            parse: { !$0.isEmpty && $0.isVisibleASCII ? $0 : nil }, text: { $0 })
    }

    /// Names become labels of metrics and parts of fields.
    static var name: Self {
        Self(
            type: "name", expected: "a name of 1 to 64 letters, digits, `-`, `_` and `.`", isShown: true,
            schema: JSONSchema("string", "number", pattern: "^[A-Za-z0-9._-]{1,64}$"),
            parse: { text in
                let isName = text.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                        true
                    default: false
                    }
                }
                return isName && (1...64).contains(text.utf8.count) ? text : nil
            }, text: { $0 })
    }
}

extension ConfigurationValue {
    /// What is wrong with `text`, which `what` holds.
    func mistake(in text: String) -> String {
        "\(isShown ? "`\(text)`" : "the value") is not valid; expected \(expected)"
    }

    /// The same, of the member or element that is called `what`.
    func mistake(in text: String, of what: String) -> String {
        "\(what) is \(isShown ? "`\(text)`" : "not valid"); expected \(expected)"
    }
}

extension ConfigurationValue where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> Self {
        Self(
            type: "integer", expected: "an integer from \(range.lowerBound) to \(range.upperBound)", isShown: true,
            schema: .integer(range), parse: { text in Int(text).flatMap { range.contains($0) ? $0 : nil } },
            text: { "\($0)" })
    }

    private static let sizeUnits = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)]

    /// In bytes.
    static func size(_ range: ClosedRange<Int>) -> Self {
        Self(
            type: "size",
            expected: "a size such as 64KiB or 512MiB, from \(range.lowerBound) to \(range.upperBound) bytes",
            isShown: true, schema: JSONSchema("string", "integer", pattern: "^[0-9]+([KMG]i)?B?$"),
            parse: { text in
                for (suffix, factor) in sizeUnits where text.hasSuffix(suffix) {
                    guard let number = Int(text.dropLast(suffix.count)), number >= 0 else { continue }
                    let (bytes, overflows) = number.multipliedReportingOverflow(by: factor)
                    return !overflows && range.contains(bytes) ? bytes : nil
                }
                return nil
            },
            text: { bytes in
                sizeUnits.first { bytes.isMultiple(of: $0.1) }.map { "\(bytes / $0.1)\($0.0)" }
            })
    }
}

extension ConfigurationValue where Value == RedisConfiguration.Replicas {
    static var replicas: Self {
        Self(
            type: "`all` or an integer", expected: "`all`, or an integer from 0 to 10", isShown: true,
            schema: .one(of: [.choice(["all"]), .integer(0...10)]),
            parse: { text in
                if text == "all" { return .all }
                return Int(text).flatMap { (0...10).contains($0) ? .count($0) : nil }
            },
            text: { replicas in
                switch replicas {
                case .all: "all"
                case .count(let count): "\(count)"
                }
            })
    }
}

extension ConfigurationValue where Value == Bool {
    static var boolean: Self {
        Self(
            type: "boolean", expected: "`true` or `false`", isShown: true, schema: .boolean,
            parse: { ["true": true, "false": false][$0] }, text: { "\($0)" })
    }
}

extension ConfigurationValue where Value == Duration {
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        Self(
            type: "duration",
            expected: "a duration such as 250ms, 10s, 5m or 24h, from \(range.lowerBound.text) to "
                + range.upperBound.text,
            isShown: true, schema: JSONSchema("string", pattern: "^[0-9]+(ms|[smhd])$"),
            parse: { text in
                let units: [(String, Duration)] = [
                    ("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)),
                    ("d", .seconds(86_400)),
                ]
                for (suffix, unit) in units where text.hasSuffix(suffix) {
                    guard let number = Int(text.dropLast(suffix.count)), (0...1_000_000_000).contains(number) else {
                        continue
                    }
                    let duration = unit * number
                    return range.contains(duration) ? duration : nil
                }
                return nil
            }, text: \.text)
    }
}

extension Duration {
    /// As people write it, in the largest unit that leaves no fraction: `100ms`, `5m`.
    var text: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] as [(String, Int64)]
        where milliseconds > 0 && milliseconds % factor == 0 {
            return "\(milliseconds / factor)\(unit)"
        }
        return milliseconds == 0 ? "0s" : "\(milliseconds)ms"
    }
}

extension ConfigurationValue where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    static var choice: Self {
        let names = Value.allCases.map(\.rawValue)
        let list = names.map { "`\($0)`" }.joined(separator: " or ")
        return Self(
            type: list, expected: list, isShown: true, schema: .choice(names), parse: { Value(rawValue: $0) },
            text: \.rawValue)
    }
}

extension ConfigurationValue where Value == Region {
    static var region: Self {
        Self(
            type: "region", expected: "`NA`, `EU` or `FE`", isShown: true,
            schema: .choice(Region.allCases.map(\.name)), parse: { Region(name: $0) }, text: \.name)
    }
}

extension ConfigurationValue where Value == TrustedProxies.Member {
    static var trustedProxy: Self {
        Self(
            type: "network", expected: "an address, a network such as 10.0.8.0/28 or 2001:db8::/64, or `unix:`",
            isShown: true,
            parse: { $0 == "unix:" ? .unixSockets : IPNetwork($0).map { .network($0) } },
            text: { member in
                switch member {
                case .network(let network): network.description
                case .unixSockets: "unix:"
                }
            })
    }
}

/// Where a server listens.
struct SocketAddressText: Equatable {
    var host: String
    var port: Int
}

extension SocketAddressText {
    init?(_ text: String) {
        guard let address = try? HostAndPort(parsing: text[...], ports: 0...65_535), let port = address.port else {
            return nil
        }
        self.init(host: address.host, port: port)
    }
}

extension ConfigurationValue where Value == SocketAddressText {
    static var address: Self {
        Self(
            type: "address", expected: "an address such as 127.0.0.1:8080 or [::1]:8080", isShown: true,
            parse: { SocketAddressText($0) },
            text: { ListenerConfiguration.Address.tcp(host: $0.host, port: $0.port).description })
    }
}

extension ConfigurationValue where Value == APIEndpoint {
    /// Tokens and messages leave the machine encrypted or not at all.
    static var endpoint: Self {
        Self(
            type: "URL", expected: "a URL that starts with https:// (http:// only on a loopback address)",
            parse: { text in
                guard let endpoint = try? APIEndpoint(parsing: text), endpoint.isSecure || endpoint.isLoopback else {
                    return nil
                }
                return endpoint
            }, text: \.description)
    }

    /// An endpoint that is compared and never dialled.
    static var alias: Self {
        Self(
            type: "URL", expected: "a URL such as https://api.amazonalexa.com",
            parse: { try? APIEndpoint(parsing: $0) },
            text: \.description)
    }
}

extension ConfigurationValue where Value == String {
    /// An endpoint for libraries that take text.
    static var endpointURL: Self {
        let endpoint = ConfigurationValue<APIEndpoint>.endpoint
        return Self(
            type: endpoint.type, expected: endpoint.expected, parse: { endpoint.parse($0)?.description }, text: { $0 })
    }

    /// The beginning of the URL of a page for people.
    static var documentationURL: Self {
        Self(
            type: "URL",
            expected: "a URL that starts with https:// or http://, such as https://docs.example.com/API.md#",
            isShown: true,
            parse: { text in
                guard let scheme = ["https://", "http://"].first(where: text.hasPrefix), text.count > scheme.count,
                    // It becomes part of a field.
                    text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"<>\"\\^`{|}".utf8.contains($0) })
                else { return nil }
                return text
            }, text: { $0 })
    }
}
