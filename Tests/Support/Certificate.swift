package import Foundation

/// Certificates that tests make for themselves.
package enum Certificate {
    /// Writes `cert.pem` and `key.pem` for localhost.
    package static func make(in folder: URL) async throws {
        let openssl = try RunningProcess(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-keyout", folder.path + "/key.pem", "-out", folder.path + "/cert.pem", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ])
        guard await openssl.exitStatus() == 0 else { throw RunningProcess.Failure(description: await openssl.output()) }
    }
}
