import GatewayCore
import GatewayUpstream
import TransportSecurity

extension GatewayConfiguration {
    static var upstreamOption: ConfigurationOption<Self> {
        .section(
            "upstream",
            [
                .section(
                    "trust",
                    [
                        .file(
                            "caFile", \.upstream.caFile, "a PEM file",
                            "PEM file of CAs trusted in addition to the system's, for the regions and the token endpoint",
                            example: "ca.pem", check: mistake(ofCAFile:_:))
                    ]),
                .value(
                    "deadline", \.upstream.limits.deadline, .duration(.milliseconds(100) ... .seconds(300)),
                    "from a message's last byte to its response"),
                .value(
                    "connectTimeout", \.upstream.region.pool.connectTimeout,
                    .duration(.milliseconds(10) ... .seconds(60)),
                    "for name lookup, TCP and TLS at one address; below half of `deadline` there is time for another"),
                .value(
                    "maximumConnectionsPerRegion", \.upstream.region.pool.maximumConnections, .integer(1...10_000),
                    "per event loop; beyond that, messages wait up to 250 ms and then get 503; only up to 25 ms once the queue has been non-empty for 250 ms"
                ),
                .value(
                    "idleTimeout", \.upstream.region.pool.idleTimeout, .duration(.seconds(1) ... .seconds(3600)),
                    "after which an unused connection is closed; below the peer's"),
                .value(
                    "http2", \.upstream.region.http2.mode, .choice,
                    "to the regions: `auto`, where TLS agrees on it (ALPN), else HTTP/1.1; `on`, also over plain `http://`, by prior knowledge"
                ),
                .value(
                    "streamsPerConnection", \.upstream.region.http2.streamsPerConnection, .integer(1...1_000),
                    "over HTTP/2: messages on one connection at once, at most; the outcomes of so many are unknown if it is lost"
                ),
                .value(
                    "circuitBreaker", \.upstream.region.circuit.isEnabled, .boolean,
                    "stops sending for a while to a region that accepts no connections or does not respond"),
                .value(
                    "adaptiveInFlightLimit", \.upstream.region.limit.isAdaptive, .boolean,
                    "allows fewer in-flight messages to a region that responds with 429 or 503, or too late"),
                .value(
                    "proxy", \.upstream.proxy, .proxy,
                    "connections to the regions and the token endpoint go through it with `CONNECT`; `none`: there is none, whatever the environment says (where `HTTPS_PROXY` may contain a user name and a password)",
                    otherwise: "as `HTTPS_PROXY` and `NO_PROXY` say", example: "http://proxy:3128"),
                .value(
                    "strict5xx", \.upstream.strict5xx, .boolean,
                    "`true`: a 500 from Amazon leaves the outcome unknown"),
            ], check: checkUpstream)
    }

    static func mistake(ofCAFile reader: ConfigurationReader, _ file: String) -> String? {
        mistake(inCertificates: file)
    }

    static func mistake(inCertificates file: String) -> String? {
        do {
            _ = try TextFile.read(file, limitBytes: 4 << 20)
            _ = try ClientTLS(caFile: file)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private static func checkUpstream(_ section: ConfigurationSection, _ configuration: inout Self) {
        if configuration.upstream.region.pool.connectTimeout > configuration.upstream.limits.deadline {
            section.reader.warn(
                "`connectTimeout` is longer than `deadline`: messages fail before a connection attempt times out",
                at: section.mark(of: section.has("connectTimeout") ? "connectTimeout" : "deadline"))
        }
        if case .environment(let url?, _) = configuration.upstream.proxy, ForwardProxy(url: url) == nil {
            section.report("the variable HTTPS_PROXY is not the URL of a proxy; expected one such as http://proxy:3128")
        }
    }
}

extension ConfigurationValue where Value == GatewayConfiguration.Proxy {
    static var proxy: Self {
        Self(
            type: "URL or `none`", expected: "`none`, or the URL of a proxy such as http://proxy:3128",
            parse: { text in
                if text == "none" { return GatewayConfiguration.Proxy.none }
                // Credentials are secrets, and come from the environment.
                return ForwardProxy(url: text) != nil && !text.contains("@") ? .url(text) : nil
            },
            text: { proxy in
                switch proxy {
                case .environment: nil  // Which may hold a password.
                case .url(let url): url
                case .none: "none"
                }
            })
    }
}
