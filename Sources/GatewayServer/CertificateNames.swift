import NIOSSL

extension NIOSSLCertificate {
    /// The subject alternative names (RFC 5280 section 4.2.1.6) that a caller can be known by, as `uri:…` and `dns:…`.
    /// A DNS name is in lower case.
    var callerNames: [String] {
        _subjectAlternativeNames().compactMap { name in
            guard let text = String(validating: Array(name.contents), as: UTF8.self) else { return nil }
            return switch name.nameType {
            case .uri: "uri:" + text
            case .dnsName: "dns:" + text.lowercased()
            default: nil
            }
        }
    }
}
