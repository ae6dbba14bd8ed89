import Foundation
import NIOSSL
import TestSupport
import Testing

@testable import TransportSecurity

@Suite struct RevocationListTests {
    /// An authority, a certificate that it has revoked, one that it has not, and the list.
    private func make(_ body: (URL) throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("crl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Certificate.makeAuthority(in: folder)
        for name in ["good", "bad"] { try await Certificate.issue(name, for: "DNS:\(name).example", in: folder) }
        try await Certificate.revoke("bad", in: folder)
        try body(folder)
    }

    private func certificate(_ name: String, _ folder: URL) throws -> NIOSSLCertificate {
        try #require(try NIOSSLCertificate.fromPEMFile("\(folder.path)/\(name).pem").first)
    }

    @Test func `a certificate that is in the list of its authority is revoked, and no other`() async throws {
        try await make { folder in
            let authority = try certificate("ca", folder)
            let revoked = try RevokedCertificates("\(folder.path)/crl.pem", signedBy: [authority])
            #expect(revoked.contains(try #require(CertificateIdentity(try certificate("bad", folder)))))
            #expect(!revoked.contains(try #require(CertificateIdentity(try certificate("good", folder)))))
            let left = try #require(revoked.nextUpdate) - Int(Date().timeIntervalSince1970)
            #expect((86_000...86_400).contains(left))
        }
    }

    @Test func `a list that is changed in any byte, or cut off anywhere, is none`() async throws {
        try await make { folder in
            let authority = try certificate("ca", folder)
            let der = try #require(try PEMFile.blocks("\(folder.path)/crl.pem", "X509 CRL").first)
            #expect(try RevocationList(der: der).isSigned(by: authority))
            for index in der.indices {
                var changed = der
                changed[index] ^= 1
                #expect((try? RevocationList(der: changed))?.isSigned(by: authority) != true, "byte \(index)")
                #expect((try? RevocationList(der: Array(der[..<index]))) == nil, "\(index) bytes")
            }
        }
    }

    @Test func `a list that is older or missing does not take the place of one that is in force`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("crl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Certificate.makeAuthority(in: folder)
        try await Certificate.issue("bad", for: "DNS:bad.example", in: folder)
        let authority = try certificate("ca", folder)
        func read() throws -> RevokedCertificates {
            try RevokedCertificates("\(folder.path)/crl.pem", signedBy: [authority])
        }
        try await Certificate.revoke(at: "20250101000000Z", in: folder)
        let old = try read()
        try await Certificate.revoke("bad", at: "20250102000000Z", in: folder)
        let new = try read()
        #expect(new.reasonNotToReplace(old, [authority]) == nil)
        #expect(new.reasonNotToReplace(new, [authority]) == nil)
        #expect(old.reasonNotToReplace(new, [authority])?.contains("is older") == true)
        #expect(RevokedCertificates().reasonNotToReplace(new, [authority])?.contains("is missing") == true)
        // Its authority is trusted no longer.
        #expect(RevokedCertificates().reasonNotToReplace(new, []) == nil)
        #expect(old != new && new == new)
    }

    @Test func `an authority that is revoked is not trusted`() async throws {
        try await make { folder in
            let authorities = [try certificate("ca", folder), try certificate("bad", folder)]
            let error = #expect(throws: PEMFile.LoadingError.self) {
                try RevokedCertificates("\(folder.path)/crl.pem", signedBy: authorities)
            }
            #expect(error?.description.contains("revokes one of the authorities") == true)
        }
    }

    @Test func `a file that holds none is named`() async throws {
        try await make { folder in
            let authority = try certificate("ca", folder)
            for (name, problem) in [("ca.pem", "contains no `X509 CRL`"), ("none.pem", "cannot read")] {
                let error = #expect(throws: PEMFile.LoadingError.self) {
                    try RevokedCertificates("\(folder.path)/\(name)", signedBy: [authority])
                }
                #expect(error?.description.contains(problem) == true)
            }
        }
    }
}
