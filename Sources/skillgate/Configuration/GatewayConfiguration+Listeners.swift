import GatewayCore
import GatewayServer

extension GatewayConfiguration {
    mutating func readListeners(_ root: ConfigurationSection, _ secrets: SecretReader) {
        guard root.has("listeners") else { return }
        listeners = root.sections("listeners") { section in
            let address = readAddress(section)
            let tls = section.optionalSection("tls") { readTLS($0, secrets) }
            return address.map { address in
                var listener = ListenerConfiguration(address)
                listener.tls = tls
                readLimits(section, of: &listener)
                return listener
            }
        }
        if listeners.isEmpty && root.reader.problems.isEmpty {
            root.report("`listeners` is empty; expected at least one", at: "listeners")
        }
    }

    /// Only one of them can listen there, unless they are on different addresses of the machine.
    func warnOfSharedPort(_ root: ConfigurationSection) {
        var taken = [(host: admin.host, port: admin.port, name: "the admin listener")]
        for case .tcp(let host, let port) in listeners.map(\.address) where port != 0 {
            if let other = taken.first(where: { $0.port == port && Self.overlap($0.host, host) }) {
                root.reader.warn(
                    "a listener and \(other.name) are both on port \(port); expected a port of its own for each",
                    at: root.mark(of: root.has("admin") ? "admin" : "listeners"))
            }
            taken.append((host, port, "another listener"))
        }
    }

    private static func overlap(_ one: String, _ other: String) -> Bool {
        let wildcards = ["0.0.0.0", "::"]
        return one == other || wildcards.contains(one) || wildcards.contains(other)
            || ([one, other].contains("localhost") && [one, other].allSatisfy { APIEndpoint.isLoopback(host: $0) })
    }

    private func readLimits(_ section: ConfigurationSection, of listener: inout ListenerConfiguration) {
        let count = ConfigurationValue<Int>.integer(1...1_000_000)
        listener.writeTimeout = section.value(
            "writeTimeout", .duration(.seconds(1) ... .seconds(3600)), default: listener.writeTimeout)
        listener.maximumConnections = section.value(
            "maximumConnections", count, default: listener.maximumConnections)
        listener.maximumConnectionsPerAddress = section.value("maximumConnectionsPerAddress", count)
    }

    private func readAddress(_ section: ConfigurationSection) -> ListenerConfiguration.Address? {
        let address = section.required("address", .listenerAddress)
        var access = UnixSocketAccess()
        access.mode = section.value("mode", .fileMode, default: access.mode)
        access.owner = section.value("owner", .text("the name of a user"))
        access.group = section.value("group", .text("the name of a group"))
        switch address {
        case .unix(let path):
            let checked = access
            section.checkHere(at: section.has("owner") ? "owner" : "group") {
                do throws(UnixSocketAccess.BindingError) {
                    _ = try checked.identifiers()
                    return nil
                } catch {
                    return error.description
                }
            }
            section.checkHere(at: "address") { TextFile.reasonNoSocket(path).map { "`address`: \($0)" } }
            return .unix(path: path, access: access)
        case .tcp(let address):
            for name in ["mode", "owner", "group"] where section.has(name) {
                section.report("`\(name)` applies only to Unix sockets", at: name)
            }
            return .tcp(host: address.host, port: address.port)
        case nil: return nil
        }
    }

    /// The files, which are read here to find out whether they can be used.
    private func readTLS(_ section: ConfigurationSection, _ secrets: SecretReader) -> ListenerConfiguration.TLS? {
        let file = ConfigurationValue<String>.text("the path of a PEM file")
        let chain = section.required("certificateChainFile", file)
        let key = section.required("privateKeyFile", file)
        let authorities = section.value("clientCAFile", file)
        let isRequired = section.value("requireClientCertificate", .boolean)
        if isRequired != nil && authorities == nil {
            section.report(
                "`requireClientCertificate` is given without `clientCAFile`", at: "requireClientCertificate")
        }
        guard let chain, let key else { return nil }
        var tls = ListenerConfiguration.TLS(
            certificateChainFile: secrets.path(chain), privateKeyFile: secrets.path(key),
            clientCAFile: authorities.map(secrets.path))
        tls.requiresClientCertificate = isRequired ?? true
        for file in [tls.certificateChainFile, tls.privateKeyFile, tls.clientCAFile] {
            file.map(section.reader.watch)
        }
        do {
            _ = try ListenerTLS(tls)
        } catch {
            section.report("\(error)")
        }
        return tls
    }
}
