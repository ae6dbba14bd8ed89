import ArgumentParser
import GatewayCore

struct Key: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Generates an API key for a caller, or prints the hash of an existing one.",
        discussion: """
            Put the key into a file that the configuration refers to (`apiKeys: [{file: …}]`), or put its hash into \
            the configuration itself (`apiKeys: [{sha256: …}]`). Give the key only to the caller.
            """)

    @Option(help: "Prints the hash of the API key in this file; - reads standard input.", completion: .file())
    var hash: String?

    func run() throws {
        guard let hash else {
            let key = APIKeyText.random()
            print("key     \(key)")
            print("sha256  \(APIKeyDigest(of: key).hexadecimal)")
            return
        }
        let key = try StandardError.orExit { try TextFile.readSecret(hash == "-" ? "/dev/stdin" : hash, mayWait: true) }
        print(APIKeyDigest(of: key).hexadecimal)
    }
}

/// API keys as `skillgate key` makes them.
enum APIKeyText {
    /// By it people, and programs that look for secrets in code, know what they have found.
    static let prefix = "sgk_"
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

    /// 43 characters of 62, that is 256 bits.
    static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        let characters = (0..<43).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
        return prefix + String(characters)
    }
}
