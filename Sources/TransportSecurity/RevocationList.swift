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
    /// Unix time in seconds.
    let thisUpdate: Int
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
        var (issuer, thisUpdate, nextUpdate): ([UInt8], Int, Int?) = ([], 0, nil)
        var serialNumbers: Set<[UInt8]> = []
        try DER.sequence(list, identifier: .sequence) { nodes in
            var node = nodes.next()
            if node?.identifier == .integer { node = nodes.next() }  // version
            guard let inner = node, try Self.algorithm(inner) == algorithm else {
                throw Invalid(reason: "it names two algorithms")
            }
            guard let name = nodes.next(), let time = nodes.next() else { throw Invalid(reason: "it is cut off") }
            issuer = Array(name.encodedBytes)
            thisUpdate = try Self.time(time)
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
        (self.issuer, self.serialNumbers) = (issuer, serialNumbers)
        (self.thisUpdate, self.nextUpdate) = (thisUpdate, nextUpdate)
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

    /// Those that mark changes to another list, and lists of a part (sections 5.2.4 and 5.2.5): they should be critical, and count in any
    /// case.
    private static let partial = ["2.5.29.27", "2.5.29.28"]

    private static func checkCriticality(_ extensions: ASN1Node) throws {
        try DER.sequence(extensions, identifier: .sequence) { nodes in
            while let one = nodes.next() {
                try DER.sequence(one, identifier: .sequence) { members in
                    guard let identifier = members.next(), let second = members.next() else { return }
                    let name = "\(try ASN1ObjectIdentifier(derEncoded: identifier))"
                    // Where there is a flag, the value comes third.
                    let isCritical = try members.next() != nil && Bool(derEncoded: second)
                    if isCritical || partial.contains(name) {
                        throw Invalid(
                            reason:
                                "it has the extension \(name); expected a whole list of one authority's certificates"
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
        // Both spellings have the same parts.
        let time: GeneralizedTime
        if node.identifier == .utcTime {
            let short = try UTCTime(derEncoded: node)
            time = try GeneralizedTime(
                year: short.year, month: short.month, day: short.day, hours: short.hours, minutes: short.minutes,
                seconds: short.seconds, fractionalSeconds: 0)
        } else {
            time = try GeneralizedTime(derEncoded: node)
        }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (
            Int32(time.year - 1900), Int32(time.month - 1), Int32(time.day)
        )
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (Int32(time.hours), Int32(time.minutes), Int32(time.seconds))
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
    /// Longer files are not read.
    private static let limitBytes = 16 << 20

    private let lists: [RevocationList]
    /// Of all lists: whether they are the same, without a look at each member.
    private let digest: [UInt8]

    /// None.
    package init() {
        (lists, digest) = ([], [])
    }

    package static func == (one: Self, other: Self) -> Bool { one.digest == other.digest }

    package var isEmpty: Bool { lists.isEmpty }

    /// - Parameters:
    ///   - path: of a PEM file.
    ///   - authorities: those that certificates are verified with. Each list has to be of one of them.
    package init(_ path: String, signedBy authorities: [NIOSSLCertificate]) throws(PEMFile.LoadingError) {
        var lists: [RevocationList] = []
        var hash = SHA256()
        for (index, der) in try PEMFile.blocks(path, "X509 CRL", limitBytes: Self.limitBytes).enumerated() {
            hash.update(data: der)
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
        digest = Array(hash.finalize())
        if let authority = authorities.first(where: { CertificateIdentity($0).map(contains) ?? false }) {
            throw PEMFile.LoadingError(
                description: "\(path) revokes one of the authorities in `clientCAFile`: \(authority)")
        }
    }

    /// - Parameter authorities: those from now on.
    /// - Throws: where these must not take the place of others: a list that was there is missing, or is older than it was. Whoever hands out
    ///   old lists makes good again what is revoked since.
    package func checkReplacing(_ others: Self, _ authorities: [NIOSSLCertificate]) throws(PEMFile.LoadingError) {
        if let reason = reasonNotToReplace(others, authorities) { throw PEMFile.LoadingError(description: reason) }
    }

    func reasonNotToReplace(_ others: Self, _ authorities: [NIOSSLCertificate]) -> String? {
        for old in others.lists where authorities.contains(where: old.isSigned) {
            let new = lists.filter { $0.issuer == old.issuer }.map(\.thisUpdate).max()
            guard let new else { return "a list that was there is missing from `clientCRLFile`" }
            if new < old.thisUpdate { return "a list in `clientCRLFile` is older than the one in force" }
        }
        return nil
    }

    package func contains(_ certificate: CertificateIdentity) -> Bool {
        lists.contains { $0.issuer == certificate.issuer && $0.serialNumbers.contains(certificate.serialNumber) }
    }

    /// Unix time in seconds: from when on one of them is out of date; nil: from none is that known.
    package var nextUpdate: Int? { lists.compactMap(\.nextUpdate).min() }
}
