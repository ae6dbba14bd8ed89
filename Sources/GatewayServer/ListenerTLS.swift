import NIOSSL
import Synchronization

/// The certificate of a listener and whom it trusts. Read again while it listens: connections that are made later get
/// what the files hold then.
public final class ListenerTLS: Sendable {
    /// Files that cannot be used, and why.
    public struct Unusable: Error, CustomStringConvertible {
        public var description: String
    }

    private let files: ListenerConfiguration.TLS
    private let current: Mutex<NIOSSLContext>

    public init(_ files: ListenerConfiguration.TLS) throws(Unusable) {
        self.files = files
        current = Mutex(try Self.context(files))
    }

    var context: NIOSSLContext { current.withLock { $0 } }

    /// What the files hold now, for use by `use`.
    public struct Renewal: Sendable {
        fileprivate let context: NIOSSLContext
    }

    /// Reads the files again, and changes nothing yet.
    public func read() throws(Unusable) -> Renewal {
        Renewal(context: try Self.context(files))
    }

    public func use(_ renewal: Renewal) {
        current.withLock { $0 = renewal.context }
    }

    private static func context(_ files: ListenerConfiguration.TLS) throws(Unusable) -> NIOSSLContext {
        let chain: [NIOSSLCertificate] = try reading(files.certificateChainFile, "certificate chain") {
            try NIOSSLCertificate.fromPEMFile($0)
        }
        let key = try reading(files.privateKeyFile, "private key") { try NIOSSLPrivateKey(file: $0, format: .pem) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        // With TLS 1.2 only what keeps recorded traffic secret when the key gets known, and no CBC.
        configuration.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
        configuration.applicationProtocols = ["http/1.1"]
        if let clientCAFile = files.clientCAFile {
            let authorities = try reading(clientCAFile, "client CA") { try NIOSSLCertificate.fromPEMFile($0) }
            configuration.trustRoots = .certificates(authorities)
            configuration.certificateVerification =
                files.requiresClientCertificate ? .noHostnameVerification : .optionalVerification
            configuration.sendCANameList = true
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw Unusable(
                description: "the private key \(files.privateKeyFile) does not fit the certificate chain "
                    + "\(files.certificateChainFile): \(error)")
        }
    }

    private static func reading<Value>(
        _ file: String, _ what: String, _ read: (String) throws -> Value
    ) throws(Unusable) -> Value {
        do {
            return try read(file)
        } catch {
            throw Unusable(description: "cannot read the \(what) \(file); expected PEM: \(error)")
        }
    }
}
