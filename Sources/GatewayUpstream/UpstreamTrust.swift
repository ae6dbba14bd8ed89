import NIOSSL

/// Whom the gateway takes for Amazon: the system's certificate authorities and, if configured, one file more.
public struct UpstreamTrust: Sendable {
    let context: NIOSSLContext

    /// - Parameter caFile: the path of a PEM file whose certificates are trusted besides the system's.
    public init(caFile: String? = nil) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12  // NIOSSL's own default is 1.0
        configuration.certificateVerification = .fullVerification
        configuration.applicationProtocols = ["http/1.1"]
        if let caFile { configuration.additionalTrustRoots = [.file(caFile)] }
        context = try NIOSSLContext(configuration: configuration)
    }
}
