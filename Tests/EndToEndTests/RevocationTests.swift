import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// Certificates of callers that their authority has revoked.
@Suite(.serialized) struct RevocationTests {
    private func run(_ body: (TestBed, _ port: Int) async throws -> Void) async throws {
        let port = try FreePort.find()
        try await TestBed.run(
            listeners: """
                  - address: 127.0.0.1:0
                  - address: 127.0.0.1:\(port)
                    tls: {certificateChainFile: server.pem, privateKeyFile: server-key.pem, clientCAFile: ca.pem, clientCRLFile: crl.pem}
                """.replacingOccurrences(of: "  - ", with: "\n  - "),
            callers: """
                  - {name: partner, certificate: {uri: spiffe://example.org/partner}, skills: [weather]}
                  - {name: stolen, certificate: {uri: spiffe://example.org/stolen}, skills: [weather]}
                """,
            prepare: { folder in
                try await Certificate.makeAuthority(in: folder)
                try await Certificate.issue("server", for: "DNS:localhost", in: folder)
                for name in ["partner", "stolen"] {
                    try await Certificate.issue(name, for: "URI:spiffe://example.org/\(name)", in: folder)
                }
                try await Certificate.revoke("stolen", in: folder)
            }
        ) { bed in
            _ = try await bed.gateway.line(with: #""gateway.listener":"127.0.0.1:\#(port)""#)
            try await body(bed, port)
        }
    }

    private func status(_ bed: TestBed, _ port: Int, _ name: String) async throws -> Int? {
        let way = try RawConnection.Way.tls(port: port, trusting: bed.folder, certificate: name)
        return try? await RawConnection.with(way) {
            try await $0.exchange(bed.request(user: "NA-1", authorization: nil))
        }?.status
    }

    @Test func `who shows a revoked certificate is disconnected`() async throws {
        try await run { bed, port in
            #expect(try await status(bed, port, "partner") == 202)
            #expect(try await status(bed, port, "stolen") == nil)
            #expect(try await bed.counters().received == 1)
            try await bed.untilMetric("skillgate_connections_revoked_total", is: 1)
            #expect(bed.gateway.log.contains("the client's certificate is revoked"))
            let metrics = try await TestBed.transfer("GET", bed.adminURL + "/metrics").text
            #expect(
                metrics.contains(
                    #"skillgate_tls_certificate_expiry_timestamp_seconds{use="client-revocation-lists"} "#))
        }
    }

    @Test func `what is revoked while it is connected may send no more, and the others may`() async throws {
        try await run { bed, port in
            try await Certificate.issue("other", for: "URI:spiffe://example.org/partner", in: bed.folder)
            let partner = try RawConnection.Way.tls(port: port, trusting: bed.folder, certificate: "partner")
            let other = try RawConnection.Way.tls(port: port, trusting: bed.folder, certificate: "other")
            let request = bed.request(user: "NA-1", authorization: nil)
            try await RawConnection.with(other) { kept in
                #expect(try await kept.exchange(request)?.status == 202)
                try await RawConnection.with(partner) { revoked in
                    #expect(try await revoked.exchange(request)?.status == 202)
                    try await Certificate.revoke("partner", in: bed.folder)
                    try await bed.until("a reload") { try await bed.reloads("success") > 0 }
                    // Refused or closed, as it happens; not sent.
                    let after = try? await revoked.exchange(request)?.status
                    #expect(after == nil || after == 401)
                }
                #expect(try await kept.exchange(request)?.status == 202)
            }
            #expect(try await status(bed, port, "partner") == nil)
            #expect(try await bed.counters().received == 3)
        }
    }

    @Test func `a list of another authority is no list`() async throws {
        try await run { bed, port in
            let elsewhere = bed.folder.appendingPathComponent("elsewhere")
            try FileManager.default.createDirectory(at: elsewhere, withIntermediateDirectories: true)
            try await Certificate.makeAuthority(in: elsewhere)
            try await Certificate.issue("partner", for: "URI:spiffe://example.org/partner", in: elsewhere)
            try await Certificate.revoke("partner", in: elsewhere)
            // By name the same authority, but for the signature.
            let list = try String(contentsOf: elsewhere.appendingPathComponent("crl.pem"), encoding: .utf8)
            try bed.replace("crl.pem", with: list)
            try await bed.until("a refusal") { try await bed.reloads("failure") > 0 }
            #expect(bed.gateway.log.contains("it is not signed (ECDSA or RSA with SHA-2) by one of the authorities"))
            #expect(try await status(bed, port, "stolen") == nil)
            #expect(try await status(bed, port, "partner") == 202)
        }
    }
}
