package import NIOSSL

/// TLS as a client: trust roots besides the system's, and the client certificate.
package struct ClientTLS: Sendable {
    package let context: NIOSSLContext
    /// When the client certificate expires, in Unix time (seconds); nil if there is none.
    package let certificateExpiry: Int?

    /// - Parameters:
    ///   - caFile: the path of a PEM file whose certificates are trusted besides the system's.
    ///   - certificateChainFile, privateKeyFile: of the client certificate, if there is one.
    ///   - applicationProtocols: offered by ALPN (RFC 7301).
    package init(
        caFile: String? = nil, certificateChainFile: String? = nil, privateKeyFile: String? = nil,
        applicationProtocols: [String] = []
    ) throws(PEMFile.LoadingError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        configuration.certificateVerification = .fullVerification
        configuration.applicationProtocols = applicationProtocols
        if let caFile { configuration.additionalTrustRoots = [.certificates(try PEMFile.certificates(caFile))] }
        var chain: [NIOSSLCertificate] = []
        if let certificateChainFile { chain = try PEMFile.certificates(certificateChainFile) }
        configuration.certificateChain = chain.map { .certificate($0) }
        if let privateKeyFile { configuration.privateKey = .privateKey(try PEMFile.privateKey(privateKeyFile)) }
        context = try PEMFile.context(configuration, chain: certificateChainFile, key: privateKeyFile)
        certificateExpiry = chain.first?.notValidAfter
    }
}
