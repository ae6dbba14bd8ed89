import Crypto
import FoundationEssentials

/// Signs deliveries as Standard Webhooks 1.0 has it: HMAC-SHA256 of id, time of the attempt and content.
package struct WebhookSigner: Equatable, Sendable {
    package static let prefix = "whsec_"
    package static let keyBytes = 24...64

    /// Why a secret is invalid.
    package struct SecretError: Error, Equatable {
        package var detail: String
    }

    private let keys: [SymmetricKey]

    /// - Parameter secrets: each signs, so that a receiver may know any of them.
    package init(secrets: [String]) throws(SecretError) {
        var keys: [SymmetricKey] = []
        for secret in secrets { keys.append(try Self.key(secret)) }
        self.keys = keys
    }

    /// What is wrong with a secret; nil if nothing is.
    package static func mistake(in secret: String) -> String? {
        do throws(SecretError) {
            _ = try key(secret)
            return nil
        } catch {
            return error.detail
        }
    }

    private static func key(_ secret: String) throws(SecretError) -> SymmetricKey {
        let expected =
            "expected `\(prefix)` and the Base64 of \(keyBytes.lowerBound) to \(keyBytes.upperBound) random bytes"
        guard secret.hasPrefix(prefix) else {
            throw SecretError(detail: "does not begin with `\(prefix)`; \(expected)")
        }
        guard let bytes = Data(base64Encoded: String(secret.dropFirst(prefix.count))) else {
            throw SecretError(detail: "is not valid Base64 after `\(prefix)`; \(expected)")
        }
        guard keyBytes.contains(bytes.count) else {
            throw SecretError(detail: "holds \(bytes.count) bytes; \(expected)")
        }
        return SymmetricKey(data: bytes)
    }

    /// The fields of one attempt to deliver.
    ///
    /// - Parameter unixTime: of the attempt; receivers refuse old ones.
    package func fields(id: String, unixTime: Int, content: [UInt8]) -> [(name: String, value: String)] {
        let signed = Array("\(id).\(unixTime).".utf8) + content
        let signatures = keys.map { key in
            "v1," + Data(HMAC<SHA256>.authenticationCode(for: signed, using: key)).base64EncodedString()
        }
        return [
            ("webhook-id", id), ("webhook-timestamp", "\(unixTime)"),
            ("webhook-signature", signatures.joined(separator: " ")),
        ]
    }
}
