import NIOSSL
package import TLSFiles

/// TLS trust roots and client certificate of `rediss://`.
package struct RedisTLS: Sendable {
    let context: NIOSSLContext
    /// Unix time in seconds: until when the client certificate is good; nil if there is none.
    package let certificateExpiry: Int?

    package init(_ files: RedisConfiguration.TLS) throws(PEMFile.LoadingError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        configuration.certificateVerification = .fullVerification
        if let caFile = files.caFile {
            configuration.additionalTrustRoots = [.certificates(try PEMFile.certificates(caFile))]
        }
        var chain: [NIOSSLCertificate] = []
        if let file = files.certificateChainFile { chain = try PEMFile.certificates(file) }
        configuration.certificateChain = chain.map { .certificate($0) }
        if let key = files.privateKeyFile { configuration.privateKey = .privateKey(try PEMFile.privateKey(key)) }
        context = try PEMFile.context(configuration, chain: files.certificateChainFile, key: files.privateKeyFile)
        certificateExpiry = chain.first?.notValidAfter
    }
}
