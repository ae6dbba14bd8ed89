import NIOSSL

extension NIOSSLCertificate {
    /// The subject alternative names (RFC 5280 section 4.2.1.6) that a caller can be known by, as `uri:…` and `dns:…`.
    var callerNames: [String] {
        _subjectAlternativeNames().compactMap { name in
            switch name.nameType {
            case .uri: CertificateName.uri(Array(name.contents))
            case .dnsName: CertificateName.dns(Array(name.contents))
            default: nil
            }
        }
    }
}

/// Both kinds are ASCII by RFC 5280: letters beyond it fold to ASCII ones (U+212A to `k`) and would name others.
enum CertificateName {
    static func uri(_ contents: [UInt8]) -> String? {
        text(contents).map { "uri:" + $0 }
    }

    /// In lower case.
    static func dns(_ contents: [UInt8]) -> String? {
        text(contents).map { "dns:" + $0.lowercased() }
    }

    private static func text(_ contents: [UInt8]) -> String? {
        guard !contents.isEmpty, contents.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return String(decoding: contents, as: UTF8.self)
    }
}
