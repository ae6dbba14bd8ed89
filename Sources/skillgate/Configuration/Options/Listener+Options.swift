import GatewayCore
import GatewayServer

extension GatewayConfiguration {
    static var listenersOption: ConfigurationOption<Self> {
        .list(
            "listeners", \.listeners, new: ListenerConfiguration(.tcp(host: "127.0.0.1", port: 8080)),
            [
                .required(
                    "address", \.addressText, .listenerAddress,
                    "where back ends connect; port 0 takes a free one. `unix:/run/skillgate/gateway.sock` is a Unix socket; `systemd:NAME` a socket that systemd passes to the process",
                    example: "127.0.0.1:8080"),
                .optional(
                    "mode", \.socketMode, .fileMode, "of a Unix socket", otherwise: "`0660`", example: "0660"),
                .optional(
                    "owner", \.socketOwner, .text("the name of a user"), "of a Unix socket", example: "skillgate"),
                .optional(
                    "group", \.socketGroup, .text("the name of a group"), "of a Unix socket", example: "backends"),
                .values(
                    "serves", \.services, .choice,
                    "what can be asked for here: `messages` is everything that callers do, `receipts` what skills do, who may have to reach the gateway from elsewhere"
                ),
                .values(
                    "trustedProxies", \.trustedProxies, .trustedProxy,
                    "addresses from which only proxies and balancers connect: whoever connects from one can claim to be any other client. Who calls through one is taken from `X-Forwarded-For`: the last address in it that is not one of these, in the logs, and where failed attempts and reports are limited by address. Their own addresses have no share of connections",
                    example: "[10.0.8.4, 10.0.8.5]"),
                .value(
                    "proxyProtocol", \.proxyProtocol, .choice,
                    "`required`: each connection begins with a header of the PROXY protocol (version 1 or 2), which tells whom it comes from; `X-Forwarded-For` is not looked at. A connection from another address than `trustedProxies` or without the header is closed and counted in `skillgate_connections_proxy_refused_total`"
                ),
                .value(
                    "http2", \.http2, .boolean,
                    "HTTP/2 is accepted beside HTTP/1.1: over TLS where the client offers it (ALPN), without TLS by prior knowledge"
                ),
                .value(
                    "streamsPerConnection", \.streamsPerConnection, .integer(1...1000),
                    "requests that one connection over HTTP/2 may have at once; further ones are refused as not processed"
                ),
                .value(
                    "writeTimeout", \.writeTimeout, .duration(.seconds(1) ... .seconds(3600)),
                    "a client that reads none of its responses for this long is disconnected"),
                .value(
                    "maximumConnections", \.maximumConnections, .integer(1...1_000_000),
                    "concurrent connections; further ones wait to be accepted. Never more than half of the process's open-file limit"
                ),
                .optional(
                    "maximumConnectionsPerAddress", \.maximumConnectionsPerAddress, .integer(1...1_000_000),
                    "concurrent connections from one IPv4 address or IPv6 /64 network; further ones are closed and counted in `skillgate_connections_turned_away_total`. Where a balancer makes the connections, name it in `trustedProxies`",
                    otherwise: "half of `maximumConnections`", example: "10000"),
                .optionalSection(
                    "tls", \.tls, new: ListenerConfiguration.TLS(certificateChainFile: "", privateKeyFile: ""),
                    listenerTLSOptions, check: { section, tls, _ in check(section, &tls) }),
            ],
            check: { section, listener, others in
                check(section, listener)
                checkProxies(section, listener)
                if listener.services.isEmpty {
                    section.report("`serves` is empty; expected `messages`, `receipts` or both", at: "serves")
                }
                if case .inherited = listener.address,
                    others.listeners.contains(where: { $0.address == listener.address })
                {
                    section.report("`\(listener.address)` is given to another listener, too", at: "address")
                }
            })
    }

    static var certificateOptions: [ConfigurationOption<ListenerConfiguration.TLS>] {
        [
            .requiredFile(
                "certificateChainFile", \.certificateChainFile, "a PEM file",
                "PEM; makes it a TLS listener: TLS 1.2 or later, only with forward secrecy", example: "server.pem"),
            .requiredFile(
                "privateKeyFile", \.privateKeyFile, "a PEM file", "PEM", example: "server-key.pem"),
        ]
    }

    private static var listenerTLSOptions: [ConfigurationOption<ListenerConfiguration.TLS>] {
        certificateOptions + [
            .file(
                "clientCAFile", \.clientCAFile, "a PEM file",
                "PEM; clients are asked for a certificate issued by one of these CAs. A connection is closed when its client's certificate expires, and when the CAs change",
                example: "clients-ca.pem"),
            .file(
                "clientCRLFile", \.clientCRLFile, "a PEM file",
                "PEM; lists of certificates that these CAs have revoked. Who shows one of them is disconnected, at the next reload also from open connections. A list that is out of date is used on",
                example: "clients-crl.pem"),
            .value(
                "requireClientCertificate", \.requiresClientCertificate, .boolean,
                "`false`: a client without a certificate may connect and authenticates with an API key"
            ).printed { $0.clientCAFile != nil },
        ]
    }

    private static func check(_ section: ConfigurationSection, _ listener: ListenerConfiguration) {
        switch listener.address {
        case .unix(let path, let access):
            section.checkHere(at: section.has("owner") ? "owner" : "group") {
                do throws(UnixSocketAccess.BindingError) {
                    _ = try access.identifiers()
                    return nil
                } catch {
                    return error.description
                }
            }
            section.checkHere(at: "address") { TextFile.reasonNoSocket(path).map { "`address`: \($0)" } }
        case .tcp, .inherited:
            for name in ["mode", "owner", "group"] where section.has(name) {
                section.report("`\(name)` applies only to Unix sockets", at: name)
            }
        }
    }

    private static func checkProxies(_ section: ConfigurationSection, _ listener: ListenerConfiguration) {
        if listener.proxyProtocol == .required && listener.trustedProxies.isEmpty {
            section.report(
                "`proxyProtocol: required` without `trustedProxies`, so that anyone could claim any address; expected the addresses of the proxies there",
                at: "proxyProtocol")
        }
        for member in listener.trustedProxies {
            switch (member, listener.address) {
            case (.unixSockets, .tcp):
                section.report("`unix:` means nothing for a TCP listener; expected networks", at: "trustedProxies")
            case (.network(let network), .unix):
                section.report(
                    "`\(network)` means nothing for a Unix socket; expected `unix:`", at: "trustedProxies")
            case (.unixSockets, _), (.network, _): break
            }
        }
    }

    /// Reads the files, to find out whether they can be used.
    static func check(_ section: ConfigurationSection, _ tls: inout ListenerConfiguration.TLS) {
        if section.has("requireClientCertificate") && tls.clientCAFile == nil {
            section.report(
                "`requireClientCertificate` is given without `clientCAFile`", at: "requireClientCertificate")
        }
        guard !tls.certificateChainFile.isEmpty, !tls.privateKeyFile.isEmpty else { return }
        if tls.clientCRLFile != nil && tls.clientCAFile == nil {
            section.report("`clientCRLFile` is given without `clientCAFile`", at: "clientCRLFile")
            return
        }
        for file in [tls.certificateChainFile, tls.privateKeyFile, tls.clientCAFile, tls.clientCRLFile] {
            file.map(section.reader.watch)
        }
        do {
            _ = try ListenerTLS(tls, http2: true)
        } catch {
            section.report("\(error)")
        }
    }
}

extension ListenerConfiguration {
    /// The address as it is written. To be read before the members of a Unix socket.
    fileprivate var addressText: ListenerAddressText {
        get {
            switch address {
            case .tcp(let host, let port): .tcp(SocketAddressText(host: host, port: port))
            case .unix(let path, _): .unix(path: path)
            case .inherited(let name): .inherited(name: name)
            }
        }
        set {
            switch newValue {
            case .tcp(let text): address = .tcp(host: text.host, port: text.port)
            case .unix(let path): address = .unix(path: path, access: UnixSocketAccess())
            case .inherited(let name): address = .inherited(name: name)
            }
        }
    }

    /// Nil for what is no Unix socket.
    private var access: UnixSocketAccess? {
        get {
            guard case .unix(_, let access) = address else { return nil }
            return access
        }
        set {
            guard case .unix(let path, _) = address, let newValue else { return }
            address = .unix(path: path, access: newValue)
        }
    }

    fileprivate var socketMode: UInt32? {
        get { access?.mode }
        set { if let newValue { access?.mode = newValue } }
    }

    fileprivate var socketOwner: String? {
        get { access?.owner }
        set { access?.owner = newValue }
    }

    fileprivate var socketGroup: String? {
        get { access?.group }
        set { access?.group = newValue }
    }
}
