import NIOSSL

extension NIOSSLCertificate {
    /// The subject alternative names (RFC 5280 section 4.2.1.6) that a caller can be known by, as `uri:…` and `dns:…`.
    /// Both are ASCII by that section: letters beyond it fold to ASCII (U+212A to `k`) and name others. A DNS name is in lower
    /// case.
    var callerNames: [String] {
        _subjectAlternativeNames().compactMap { name in
            guard let text = String(validating: Array(name.contents), as: UTF8.self),
                text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
            else { return nil }
            return switch name.nameType {
            case .uri: "uri:" + text
            case .dnsName: "dns:" + text.lowercased()
            default: nil
            }
        }
    }
}
