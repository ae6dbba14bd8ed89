import NIOSSL

/// TLS trust roots and client certificate of `rediss://`.
public struct RedisTLS: Sendable {
    let context: NIOSSLContext

    init(_ files: RedisConfiguration.TLS) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        configuration.certificateVerification = .fullVerification
        if let caFile = files.caFile {
            configuration.additionalTrustRoots = [.certificates(try NIOSSLCertificate.fromPEMFile(caFile))]
        }
        if let chain = files.certificateChainFile {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(chain).map { .certificate($0) }
        }
        if let key = files.privateKeyFile {
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        }
        context = try NIOSSLContext(configuration: configuration)
    }

    /// - Throws: what is wrong with the files.
    public static func check(_ files: RedisConfiguration.TLS) throws {
        _ = try RedisTLS(files)
    }
}
