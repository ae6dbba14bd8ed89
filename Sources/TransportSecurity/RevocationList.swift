import Crypto
import CryptoExtras
import Glibc
package import NIOSSL
import SwiftASN1

/// Certificates that an authority has taken back before their time (RFC 5280 section 5).
package struct RevocationList: Equatable, Sendable {
    package struct Invalid: Error, Equatable {
        /// For whoever wrote the file: what is wrong with the list.
        package var reason: String
    }

    /// The authority's name, in DER.
    let issuer: [UInt8]
    /// In DER, without tag and length.
    let serialNumbers: Set<[UInt8]>
    /// Unix time in seconds: by then there will be a newer one; nil: it does not say when.
    package let nextUpdate: Int?
    private let signed: [UInt8]
    private let algorithm: String
    private let signature: [UInt8]

    /// - Parameter der: one list, whole.
    package init(der: [UInt8]) throws(Invalid) {
        do {
            self = try Self(parsing: der)
        } catch let invalid as Invalid {
            throw invalid
        } catch {
            throw Invalid(reason: "it is no list of RFC 5280: \(error)")
        }
    }

    private init(parsing der: [UInt8]) throws {
        self = try DER.sequence(try DER.parse(der), identifier: .sequence) { nodes in
            guard let list = nodes.next(), let algorithm = nodes.next(), let signature = nodes.next() else {
                throw Invalid(reason: "it is cut off")
            }
            let bits = try ASN1BitString(derEncoded: signature)
            guard bits.paddingBits == 0 else { throw Invalid(reason: "its signature is not of whole bytes") }
            return try Self(list, algorithm: try Self.algorithm(algorithm), signature: Array(bits.bytes))
        }
    }

    /// TBSCertList (section 5.1).
    private init(_ list: ASN1Node, algorithm: String, signature: [UInt8]) throws {
        (signed, self.algorithm, self.signature) = (Array(list.encodedBytes), algorithm, signature)
        var (issuer, nextUpdate): ([UInt8], Int?) = ([], nil)
        var serialNumbers: Set<[UInt8]> = []
        try DER.sequence(list, identifier: .sequence) { nodes in
            var node = nodes.next()
            if node?.identifier == .integer { node = nodes.next() }  // version
            guard let inner = node, try Self.algorithm(inner) == algorithm else {
                throw Invalid(reason: "it names two algorithms")
            }
            guard let name = nodes.next(), let thisUpdate = nodes.next() else { throw Invalid(reason: "it is cut off") }
            issuer = Array(name.encodedBytes)
            _ = try Self.time(thisUpdate)
            node = nodes.next()
            if let found = node, found.identifier == .utcTime || found.identifier == .generalizedTime {
                nextUpdate = try Self.time(found)
                node = nodes.next()
            }
            if let found = node, found.identifier == .sequence {
                serialNumbers = try Self.serialNumbers(found)
                node = nodes.next()
            }
            if let found = node { try Self.checkExtensions(found) }
        }
        (self.issuer, self.nextUpdate, self.serialNumbers) = (issuer, nextUpdate, serialNumbers)
    }

    private static func serialNumbers(_ node: ASN1Node) throws -> Set<[UInt8]> {
        var numbers: Set<[UInt8]> = []
        try DER.sequence(node, identifier: .sequence) { entries in
            while let entry = entries.next() {
                try DER.sequence(entry, identifier: .sequence) { nodes in
                    guard let serialNumber = nodes.next(), let date = nodes.next() else {
                        throw Invalid(reason: "an entry is cut off")
                    }
                    numbers.insert(try content(serialNumber))
                    _ = try time(date)
                    if let extensions = nodes.next() { try checkCriticality(extensions) }
                }
            }
        }
        return numbers
    }

    /// What a list says in a critical extension changes what it means (section 5.2): of a part of the certificates, or of another's.
    private static func checkExtensions(_ node: ASN1Node) throws {
        guard case .constructed(let children) = node.content else { throw Invalid(reason: "its extensions are none") }
        for child in children { try checkCriticality(child) }
    }

    private static func checkCriticality(_ extensions: ASN1Node) throws {
        try DER.sequence(extensions, identifier: .sequence) { nodes in
            while let one = nodes.next() {
                try DER.sequence(one, identifier: .sequence) { members in
                    guard let identifier = members.next(), let flag = members.next() else { return }
                    // The value comes third where there is a flag.
                    guard let value = members.next() else { return }
                    _ = value
                    if try Bool(derEncoded: flag) {
                        let name = try ASN1ObjectIdentifier(derEncoded: identifier)
                        throw Invalid(
                            reason:
                                "it has the critical extension \(name); expected a whole list of one authority's certificates"
                        )
                    }
                }
            }
        }
    }

    private static func algorithm(_ node: ASN1Node) throws -> String {
        try DER.sequence(node, identifier: .sequence) { nodes in
            guard let identifier = nodes.next() else { throw Invalid(reason: "an algorithm is missing") }
            _ = nodes.next()
            return "\(try ASN1ObjectIdentifier(derEncoded: identifier))"
        }
    }

    private static func time(_ node: ASN1Node) throws -> Int {
        var parts = tm()
        if node.identifier == .utcTime {
            let time = try UTCTime(derEncoded: node)
            (parts.tm_year, parts.tm_mon, parts.tm_mday) = (
                Int32(time.year - 1900), Int32(time.month - 1), Int32(time.day)
            )
            (parts.tm_hour, parts.tm_min, parts.tm_sec) = (Int32(time.hours), Int32(time.minutes), Int32(time.seconds))
        } else {
            let time = try GeneralizedTime(derEncoded: node)
            (parts.tm_year, parts.tm_mon, parts.tm_mday) = (
                Int32(time.year - 1900), Int32(time.month - 1), Int32(time.day)
            )
            (parts.tm_hour, parts.tm_min, parts.tm_sec) = (Int32(time.hours), Int32(time.minutes), Int32(time.seconds))
        }
        return timegm(&parts)
    }

    fileprivate static func content(_ node: ASN1Node) throws -> [UInt8] {
        guard case .primitive(let bytes) = node.content, node.identifier == .integer else {
            throw Invalid(reason: "a serial number is no number")
        }
        return Array(bytes)
    }

    // MARK: Signature

    /// Whether the list is this authority's own.
    package func isSigned(by authority: NIOSSLCertificate) -> Bool {
        guard let name = try? CertificateIdentity.subject(of: authority), name == issuer,
            let key = try? authority.extractPublicKey().toSPKIBytes()
        else { return false }
        switch algorithm {
        case "1.2.840.10045.4.3.2": return isSigned(SHA256.hash(data: signed), key)
        case "1.2.840.10045.4.3.3": return isSigned(SHA384.hash(data: signed), key)
        case "1.2.840.10045.4.3.4": return isSigned(SHA512.hash(data: signed), key)
        case "1.2.840.113549.1.1.11": return isSignedByRSA(SHA256.hash(data: signed), key)
        case "1.2.840.113549.1.1.12": return isSignedByRSA(SHA384.hash(data: signed), key)
        case "1.2.840.113549.1.1.13": return isSignedByRSA(SHA512.hash(data: signed), key)
        default: return false
        }
    }

    private func isSigned(_ digest: some Digest, _ key: [UInt8]) -> Bool {
        if let key = try? P256.Signing.PublicKey(derRepresentation: key),
            let signature = try? P256.Signing.ECDSASignature(derRepresentation: signature)
        {
            return key.isValidSignature(signature, for: digest)
        }
        if let key = try? P384.Signing.PublicKey(derRepresentation: key),
            let signature = try? P384.Signing.ECDSASignature(derRepresentation: signature)
        {
            return key.isValidSignature(signature, for: digest)
        }
        if let key = try? P521.Signing.PublicKey(derRepresentation: key),
            let signature = try? P521.Signing.ECDSASignature(derRepresentation: signature)
        {
            return key.isValidSignature(signature, for: digest)
        }
        return false
    }

    private func isSignedByRSA(_ digest: some Digest, _ key: [UInt8]) -> Bool {
        guard let key = try? _RSA.Signing.PublicKey(derRepresentation: key) else { return false }
        return key.isValidSignature(
            _RSA.Signing.RSASignature(rawRepresentation: signature), for: digest, padding: .insecurePKCS1v1_5)
    }
}

/// What a certificate is taken back by.
package struct CertificateIdentity: Hashable, Sendable {
    fileprivate let issuer: [UInt8]
    fileprivate let serialNumber: [UInt8]

    /// Nil for what is no certificate of RFC 5280.
    package init?(_ certificate: NIOSSLCertificate) {
        guard let names = try? Self.names(of: certificate) else { return nil }
        (issuer, serialNumber) = (names.issuer, names.serialNumber)
    }

    fileprivate static func subject(of certificate: NIOSSLCertificate) throws -> [UInt8] {
        try names(of: certificate).subject
    }

    /// TBSCertificate (section 4.1).
    private static func names(
        of certificate: NIOSSLCertificate
    ) throws -> (serialNumber: [UInt8], issuer: [UInt8], subject: [UInt8]) {
        try DER.sequence(try DER.parse(try certificate.toDERBytes()), identifier: .sequence) { nodes in
            guard let signed = nodes.next() else { throw RevocationList.Invalid(reason: "it is cut off") }
            while nodes.next() != nil {}
            return try DER.sequence(signed, identifier: .sequence) { nodes in
                var node = nodes.next()
                if node?.identifier.tagClass == .contextSpecific { node = nodes.next() }  // version
                guard let serialNumber = node, nodes.next() != nil, let issuer = nodes.next(), nodes.next() != nil,
                    let subject = nodes.next()
                else { throw RevocationList.Invalid(reason: "it is cut off") }
                while nodes.next() != nil {}
                return (
                    try RevocationList.content(serialNumber), Array(issuer.encodedBytes), Array(subject.encodedBytes)
                )
            }
        }
    }
}

/// All that the authorities of a listener have taken back.
package struct RevokedCertificates: Equatable, Sendable {
    private let lists: [RevocationList]

    /// None.
    package init() {
        lists = []
    }

    /// - Parameters:
    ///   - path: of a PEM file.
    ///   - authorities: those that certificates are verified with. Each list has to be of one of them.
    package init(_ path: String, signedBy authorities: [NIOSSLCertificate]) throws(PEMFile.LoadingError) {
        var lists: [RevocationList] = []
        for (index, der) in try PEMFile.blocks(path, "X509 CRL").enumerated() {
            let place = "list \(index + 1) in \(path)"
            do throws(RevocationList.Invalid) {
                let list = try RevocationList(der: der)
                guard authorities.contains(where: list.isSigned) else {
                    throw RevocationList.Invalid(
                        reason: "it is not signed (ECDSA or RSA with SHA-2) by one of the authorities in `clientCAFile`"
                    )
                }
                lists.append(list)
            } catch {
                throw PEMFile.LoadingError(description: "\(place) cannot be used: \(error.reason)")
            }
        }
        self.lists = lists
    }

    package func contains(_ certificate: CertificateIdentity) -> Bool {
        lists.contains { $0.issuer == certificate.issuer && $0.serialNumbers.contains(certificate.serialNumber) }
    }

    /// Unix time in seconds: from when on one of them is out of date; nil: from none is that known.
    package var nextUpdate: Int? { lists.compactMap(\.nextUpdate).min() }
}
