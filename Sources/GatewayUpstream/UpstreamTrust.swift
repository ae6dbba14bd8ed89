import NIOSSL
package import TLSFiles

/// TLS trust roots of the regions: the system's certificate authorities and, if configured, one file more.
package struct UpstreamTrust: Sendable {
    let context: NIOSSLContext

    /// - Parameter caFile: the path of a PEM file whose certificates are trusted besides the system's.
    package init(caFile: String? = nil) throws(PEMFile.LoadingError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        configuration.certificateVerification = .fullVerification
        configuration.applicationProtocols = ["http/1.1"]
        if let caFile {
            configuration.additionalTrustRoots = [.certificates(try PEMFile.certificates(caFile))]
        }
        context = try PEMFile.context(configuration, chain: nil, key: nil)
    }
}
