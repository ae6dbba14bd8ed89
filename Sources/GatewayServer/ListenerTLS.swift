import GatewayCore
import NIOSSL
import Synchronization
package import TransportSecurity

/// The certificate of a listener and whom it trusts. Read again while it listens: connections that are made later get
/// what the files hold then, and those of clients that were verified by other authorities end.
package final class ListenerTLS: Sendable {
    private let files: ListenerConfiguration.TLS
    /// What clients can choose from, the preferred first (RFC 7301).
    let applicationProtocols: [String]
    private let current: Mutex<Renewal>
    private let changesOfAuthorities = Atomic<Int>(0)
    private let changesOfRevocations = Atomic<Int>(0)

    package init(_ files: ListenerConfiguration.TLS, http2: Bool) throws(PEMFile.LoadingError) {
        self.files = files
        applicationProtocols =
            (http2 ? [HTTPVersion.http2, .http1] : [.http1]).map(\.rawValue)
        current = Mutex(try Self.read(files, applicationProtocols))
    }

    /// For one handshake, and the authorities of that context as `authorities` counts them.
    var handshake: (context: NIOSSLContext, authorities: Int) {
        current.withLock { ($0.context, changesOfAuthorities.load(ordering: .relaxed)) }
    }

    /// Unix time in seconds: until when the certificate is good, and the last of the authorities that clients' are verified with.
    package var expiry: (certificate: Int, authorities: Int?) {
        current.withLock { ($0.notValidAfter, $0.authorities.map(\.notValidAfter).max()) }
    }

    /// Unix time in seconds: from when on a list of revoked certificates is out of date.
    package var nextUpdateOfRevocations: Int? { current.withLock { $0.revoked.nextUpdate } }

    /// How often the lists of revoked certificates have changed.
    var revocations: Int { changesOfRevocations.load(ordering: .acquiring) }

    /// - Parameter certificate: nil: it cannot be looked for, and none that can must take its place.
    func isRevoked(_ certificate: CertificateIdentity?) -> Bool {
        let revoked = current.withLock { $0.revoked }
        return certificate.map(revoked.contains) ?? !revoked.isEmpty
    }

    /// How often the authorities have changed that clients' certificates are verified with.
    var authorities: Int { changesOfAuthorities.load(ordering: .relaxed) }

    /// What the files hold now, for use by `use`.
    package struct Renewal: Sendable {
        fileprivate let context: NIOSSLContext
        fileprivate let authorities: [NIOSSLCertificate]
        fileprivate let revoked: RevokedCertificates
        /// Unix time in seconds: until when the listener's own certificate is good.
        fileprivate let notValidAfter: Int
    }

    /// Reads the files again, and changes nothing yet.
    package func read() throws(PEMFile.LoadingError) -> Renewal {
        let renewal = try Self.read(files, applicationProtocols)
        let revoked = current.withLock { $0.revoked }
        try renewal.revoked.checkReplacing(revoked, renewal.authorities)
        return renewal
    }

    package func use(_ renewal: Renewal) {
        let revocationsChange = current.withLock { current in
            if current.authorities != renewal.authorities { changesOfAuthorities.add(1, ordering: .relaxed) }
            defer { current = renewal }
            return current.revoked != renewal.revoked
        }
        if revocationsChange { changesOfRevocations.add(1, ordering: .releasing) }
    }

    private static func read(
        _ files: ListenerConfiguration.TLS, _ applicationProtocols: [String]
    ) throws(PEMFile.LoadingError) -> Renewal {
        let chain = try PEMFile.certificates(files.certificateChainFile)
        let key = try PEMFile.privateKey(files.privateKeyFile)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        // With TLS 1.2 only what keeps recorded traffic secret when the key gets known, and no CBC.
        configuration.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
        configuration.applicationProtocols = applicationProtocols
        let authorities = try files.clientCAFile.map { path throws(PEMFile.LoadingError) in
            try PEMFile.certificates(path)
        }
        if files.clientCAFile != nil {
            configuration.trustRoots = .certificates(authorities ?? [])
            configuration.certificateVerification =
                files.requiresClientCertificate ? .noHostnameVerification : .optionalVerification
            configuration.sendCANameList = true
        }
        let revoked = try files.clientCRLFile.map { path throws(PEMFile.LoadingError) in
            try RevokedCertificates(path, signedBy: authorities ?? [])
        }
        return Renewal(
            context: try PEMFile.context(
                configuration, chain: files.certificateChainFile, key: files.privateKeyFile),
            authorities: authorities ?? [], revoked: revoked ?? RevokedCertificates(),
            notValidAfter: chain.first?.notValidAfter ?? 0)
    }
}
