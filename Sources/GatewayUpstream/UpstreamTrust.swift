import NIOSSL

/// TLS trust roots of the regions: the system's certificate authorities and, if configured, one file more.
public struct UpstreamTrust: Sendable {
    let context: NIOSSLContext

    /// - Parameter caFile: the path of a PEM file whose certificates are trusted besides the system's.
    public init(caFile: String? = nil) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        configuration.certificateVerification = .fullVerification
        configuration.applicationProtocols = ["http/1.1"]
        if let caFile {
            let authorities = try NIOSSLCertificate.fromPEMFile(caFile)
            guard !authorities.isEmpty else { throw NoCertificate(file: caFile) }
            configuration.additionalTrustRoots = [.certificates(authorities)]
        }
        context = try NIOSSLContext(configuration: configuration)
    }

    struct NoCertificate: Error, CustomStringConvertible {
        var file: String

        var description: String { "\(file) holds no certificate; expected PEM" }
    }
}
