package import Foundation

/// Certificates that tests make for themselves.
package enum Certificate {
    private static let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]

    /// Writes `cert.pem` and `key.pem` for localhost.
    package static func make(in folder: URL) async throws {
        try await openssl(
            ["req", "-x509"] + key + [
                "-keyout", folder.path + "/key.pem", "-out", folder.path + "/cert.pem", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ])
    }

    /// Writes `ca.pem` and `ca-key.pem`: an authority of its own.
    package static func makeAuthority(in folder: URL) async throws {
        try await openssl(
            ["req", "-x509"] + key + [
                "-keyout", folder.path + "/ca-key.pem", "-out", folder.path + "/ca.pem", "-subj", "/CN=Test authority",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
            ])
    }

    /// Writes `<name>.pem` and `<name>-key.pem`, signed by the authority in `folder`.
    ///
    /// - Parameter subjects: such as `DNS:localhost` or `URI:spiffe://example.org/orders`.
    package static func issue(_ name: String, for subjects: String, in folder: URL) async throws {
        try await openssl(
            ["req", "-x509", "-CA", folder.path + "/ca.pem", "-CAkey", folder.path + "/ca-key.pem"] + key + [
                "-keyout", "\(folder.path)/\(name)-key.pem", "-out", "\(folder.path)/\(name).pem", "-subj",
                "/CN=\(name)",
                "-addext", "subjectAltName=\(subjects)", "-addext", "basicConstraints=critical,CA:FALSE",
            ])
    }

    /// Writes `crl.pem`, the list of what the authority in `folder` has revoked: these, and those that it has revoked before.
    ///
    /// - Parameter time: when it says that it was made, as `YYYYMMDDHHMMSSZ`; nil: now.
    package static func revoke(_ names: String..., at time: String? = nil, in folder: URL) async throws {
        let configuration = """
            [ca]
            default_ca = authority
            [authority]
            database = \(folder.path)/index.txt
            default_md = sha256
            default_crl_days = 1
            """
        try configuration.write(to: folder.appendingPathComponent("ca.cnf"), atomically: true, encoding: .utf8)
        let index = folder.appendingPathComponent("index.txt")
        if !FileManager.default.fileExists(atPath: index.path) { try Data().write(to: index) }
        let authority = [
            "ca", "-config", folder.path + "/ca.cnf", "-cert", folder.path + "/ca.pem", "-keyfile",
            folder.path + "/ca-key.pem",
        ]
        for name in names { try await openssl(authority + ["-revoke", "\(folder.path)/\(name).pem"]) }
        // Under its own name only when it is whole: it may be watched.
        let update = time.map { ["-crl_lastupdate", $0, "-crl_nextupdate", "20490101000000Z"] } ?? []
        try await openssl(authority + ["-gencrl", "-out", folder.path + "/crl.new"] + update)
        guard rename(folder.path + "/crl.new", folder.path + "/crl.pem") == 0 else {
            throw RunningProcess.Failure(description: "cannot rename the list")
        }
    }

    private static func openssl(_ arguments: [String]) async throws {
        let openssl = try RunningProcess("/usr/bin/openssl", arguments)
        guard await openssl.exitStatus() == 0 else { throw RunningProcess.Failure(description: await openssl.output()) }
    }
}
