import Glibc
import NIOCore
import NIOSSL
import Synchronization

/// The certificate of a listener and whom it trusts. Read again while it listens: connections that are made later get
/// what the files hold then, and those of clients that were verified by other authorities end.
public final class ListenerTLS: Sendable {
    /// Files that cannot be used, and why.
    public struct Unusable: Error, CustomStringConvertible {
        public var description: String
    }

    /// What clients can choose from (RFC 7301).
    static let applicationProtocols = ["http/1.1"]

    private let files: ListenerConfiguration.TLS
    private let current: Mutex<Renewal>
    private let changesOfAuthorities = Atomic<Int>(0)

    public init(_ files: ListenerConfiguration.TLS) throws(Unusable) {
        self.files = files
        current = Mutex(try Self.read(files))
    }

    var context: NIOSSLContext { current.withLock { $0.context } }

    /// How often the authorities have changed that clients' certificates are verified with.
    var authorities: Int { changesOfAuthorities.load(ordering: .relaxed) }

    /// What the files hold now, for use by `use`.
    public struct Renewal: Sendable {
        fileprivate let context: NIOSSLContext
        fileprivate let authorities: [NIOSSLCertificate]
    }

    /// Reads the files again, and changes nothing yet.
    public func read() throws(Unusable) -> Renewal {
        try Self.read(files)
    }

    public func use(_ renewal: Renewal) {
        let isChanged = current.withLock { current in
            defer { current = renewal }
            return current.authorities != renewal.authorities
        }
        if isChanged { changesOfAuthorities.add(1, ordering: .relaxed) }
    }

    private static func read(_ files: ListenerConfiguration.TLS) throws(Unusable) -> Renewal {
        let chain: [NIOSSLCertificate] = try reading(files.certificateChainFile, "certificate chain") {
            try NIOSSLCertificate.fromPEMFile($0)
        }
        let key = try reading(files.privateKeyFile, "private key") { try NIOSSLPrivateKey(file: $0, format: .pem) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        // With TLS 1.2 only what keeps recorded traffic secret when the key gets known, and no CBC.
        configuration.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
        configuration.applicationProtocols = applicationProtocols
        let authorities: [NIOSSLCertificate] =
            try files.clientCAFile.map { file throws(Unusable) in
                try reading(file, "client CA") { try NIOSSLCertificate.fromPEMFile($0) }
            } ?? []
        if files.clientCAFile != nil {
            configuration.trustRoots = .certificates(authorities)
            configuration.certificateVerification =
                files.requiresClientCertificate ? .noHostnameVerification : .optionalVerification
            configuration.sendCANameList = true
        }
        do {
            return Renewal(context: try NIOSSLContext(configuration: configuration), authorities: authorities)
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
            // A FIFO would be waited for until somebody writes to it.
            var status = stat()
            guard stat(file, &status) == 0 else { throw IOError(errnoCode: errno, reason: "stat") }
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw Unusable(description: "it is no regular file")
            }
            return try read(file)
        } catch {
            throw Unusable(description: "cannot read the \(what) \(file); expected PEM: \(error)")
        }
    }
}
