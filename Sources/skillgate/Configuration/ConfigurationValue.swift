import GatewayCore
import GatewayRedis

/// How the text of a scalar becomes a value, and what to tell who wrote something else.
struct ConfigurationValue<Value> {
    let expected: String
    /// Whether a value that is wrong is shown in the message. False where it may hold a secret: a password in a URL, or a secret
    /// in the place of a reference to it.
    var isShown = false
    let parse: (String) -> Value?
}

extension ConfigurationValue where Value == String {
    static func text(_ expected: String) -> Self {
        Self(expected: expected) { $0.isEmpty ? nil : $0 }
    }

    static func visibleASCII(_ expected: String) -> Self {
        Self(expected: expected + ", in visible ASCII characters") { text in
            !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) } ? text : nil
        }
    }

    /// Names become labels of metrics and parts of fields.
    static var name: Self {
        Self(expected: "a name of 1 to 64 letters, digits, `-`, `_` and `.`", isShown: true) { text in
            let isName = text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
            return isName && (1...64).contains(text.utf8.count) ? text : nil
        }
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
        Self(expected: "an integer from \(range.lowerBound) to \(range.upperBound)", isShown: true) { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// In bytes.
    static func size(_ range: ClosedRange<Int>) -> Self {
        Self(
            expected: "a size such as 64KiB or 512MiB, from \(range.lowerBound) to \(range.upperBound) bytes",
            isShown: true
        ) { text in
            let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1), ("", 1)]
            for (suffix, factor) in units where text.hasSuffix(suffix) {
                guard let number = Int(text.dropLast(suffix.count)), number >= 0 else { continue }
                let (bytes, overflows) = number.multipliedReportingOverflow(by: factor)
                return !overflows && range.contains(bytes) ? bytes : nil
            }
            return nil
        }
    }
}

extension ConfigurationValue where Value == RedisConfiguration.Replicas {
    static var replicas: Self {
        Self(expected: "`all`, or an integer from 0 to 10", isShown: true) { text in
            if text == "all" { return .all }
            return Int(text).flatMap { (0...10).contains($0) ? .count($0) : nil }
        }
    }
}

extension ConfigurationValue where Value == Bool {
    static var boolean: Self {
        Self(expected: "`true` or `false`", isShown: true) { ["true": true, "false": false][$0] }
    }
}

extension ConfigurationValue where Value == Duration {
    /// As people write it: `100ms`, `5m`.
    private static func text(_ duration: Duration) -> String {
        let milliseconds = Int(duration / .milliseconds(1))
        for (suffix, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
        where milliseconds >= size && milliseconds.isMultiple(of: size) {
            return "\(milliseconds / size)\(suffix)"
        }
        return "\(milliseconds)ms"
    }

    static func duration(_ range: ClosedRange<Duration>) -> Self {
        Self(
            expected:
                "a duration such as 250ms, 10s, 5m or 24h, from \(text(range.lowerBound)) to \(text(range.upperBound))",
            isShown: true
        ) { text in
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
        }
    }
}

extension ConfigurationValue where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    static var choice: Self {
        Self(expected: Value.allCases.map { "`\($0.rawValue)`" }.joined(separator: " or "), isShown: true) {
            Value(rawValue: $0)
        }
    }
}

extension ConfigurationValue where Value == Region {
    static var region: Self {
        Self(expected: "`NA`, `EU` or `FE`", isShown: true) { Region(name: $0) }
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
        Self(expected: "an address such as 127.0.0.1:8080 or [::1]:8080", isShown: true) { SocketAddressText($0) }
    }
}

extension ConfigurationValue where Value == APIEndpoint {
    /// Tokens and messages leave the machine encrypted or not at all.
    static var endpoint: Self {
        Self(expected: "a URL that starts with https:// (http:// only on a loopback address)") { text in
            guard let endpoint = try? APIEndpoint(parsing: text), endpoint.isSecure || endpoint.isLoopback else {
                return nil
            }
            return endpoint
        }
    }

    /// An endpoint that is compared and never dialled.
    static var alias: Self {
        Self(expected: "a URL such as https://api.amazonalexa.com") { try? APIEndpoint(parsing: $0) }
    }
}
