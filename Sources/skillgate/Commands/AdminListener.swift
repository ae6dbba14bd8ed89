import ArgumentParser
import GatewayCore
import TokenEndpointClient

/// The admin listener of a gateway that runs, and how to be let in there.
struct AdminListener: ParsableArguments {
    static let keyVariable = "SKILLGATE_OPERATOR_KEY"

    @Option(help: "The URL of a running gateway's admin listener.")
    var admin: String?
    @Option(
        help: "A file with an operator's key (`admin.operators`); otherwise \(AdminListener.keyVariable).",
        completion: .file())
    var operatorKeyFile: String?
    @Option(
        help: "A file of certificates (PEM) to trust besides the system's, for the admin listener.", completion: .file()
    )
    var adminCAFile: String?

    func validate() throws {
        guard let admin else {
            if operatorKeyFile != nil || adminCAFile != nil {
                throw ValidationError("--operator-key-file and --admin-ca-file are for --admin, which is missing")
            }
            return
        }
        guard admin.hasPrefix("http://") || admin.hasPrefix("https://") else {
            throw ValidationError("--admin is `\(admin)`; expected a URL such as http://127.0.0.1:9090")
        }
    }

    /// - Throws: `ExitCode`, if the key cannot be read.
    func transfer(_ method: String, _ path: String) throws -> HTTPTransfer {
        let admin = admin ?? ""
        var transfer = HTTPTransfer(method, (admin.hasSuffix("/") ? String(admin.dropLast()) : admin) + path)
        transfer.caFile = adminCAFile
        if let key = try KeyArgument.read(file: operatorKeyFile, variable: Self.keyVariable) {
            try checkIsSecret(admin)
            transfer.fields.append(("Authorization", "Bearer \(key)"))
        }
        return transfer
    }

    /// The key does not leave this machine in clear.
    private func checkIsSecret(_ admin: String) throws {
        guard !admin.hasPrefix("https://") else { return }
        let authority = admin.dropFirst("http://".count).prefix { $0 != "/" }
        guard let host = (try? HostAndPort(parsing: authority))?.host, APIEndpoint.isLoopback(host: host)
        else {
            StandardError.write("an operator's key is not sent in clear to \(admin); expected https://\n")
            throw ExitCode(ExitStatus.usage)
        }
    }
}
