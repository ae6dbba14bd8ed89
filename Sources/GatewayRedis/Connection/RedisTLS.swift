import NIOSSL

/// The TLS of `rediss://`: whom the gateway takes for its Redis, and how it shows itself.
struct RedisTLS: Sendable {
    let context: NIOSSLContext

    init(_ files: RedisConfiguration.TLS) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        configuration.certificateVerification = .fullVerification
        if let caFile = files.caFile { configuration.additionalTrustRoots = [.file(caFile)] }
        if let chain = files.certificateChainFile {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(chain).map { .certificate($0) }
        }
        if let key = files.privateKeyFile {
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        }
        context = try NIOSSLContext(configuration: configuration)
    }
}
