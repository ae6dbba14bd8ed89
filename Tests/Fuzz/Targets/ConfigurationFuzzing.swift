@testable import skillgate

/// A whole configuration file.
enum ConfigurationFuzzing {
    static func configuration(_ bytes: [UInt8]) {
        guard let yaml = String(validating: bytes, as: UTF8.self) else { return }
        do {
            _ = try GatewayConfiguration(
                yaml: yaml, fileName: "f", folder: "/nowhere", environment: ["SECRET": "s", "KEY": "0123456789abcdef"])
        } catch {
            promise(!error.problems.isEmpty, "an error without a problem")
            for problem in error.problems {
                let text = problem.description
                promise(
                    text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F },
                    "a problem that is more than a line of text")
            }
        }
    }
}
