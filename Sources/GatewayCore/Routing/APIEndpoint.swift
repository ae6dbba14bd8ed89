/// A base URL: scheme, host, port and path prefix, in one normal form so that equal endpoints compare equal.
package struct APIEndpoint: Hashable, Sendable, CustomStringConvertible {
    package var isSecure: Bool
    /// In lower case; an IPv6 address without its brackets.
    package var host: String
    package var port: Int
    /// Empty, or starting with `/` and not ending in one.
    package var pathPrefix: String

    package struct ParsingError: Error, Equatable {
        /// What is wrong with the text and what is expected.
        package var detail: String
    }

    package init(parsing text: String) throws(ParsingError) {
        let rest: Substring
        if text.lowercased().hasPrefix("https://") {
            (isSecure, rest) = (true, text.dropFirst(8))
        } else if text.lowercased().hasPrefix("http://") {
            (isSecure, rest) = (false, text.dropFirst(7))
        } else {
            throw ParsingError(detail: "expected a URL that starts with https:// (or http:// on a loopback address)")
        }
        guard rest.isVisibleASCII else {
            throw ParsingError(detail: "contains a character that is not visible ASCII")
        }
        guard !rest.contains(where: { "?#@\\\"<>".contains($0) }) else {
            throw ParsingError(detail: "has a query, a fragment, a user or a quote; expected only host, port and path")
        }
        let authority = rest.prefix { $0 != "/" }
        var path = rest.dropFirst(authority.count)
        while path.hasSuffix("/") { path.removeLast() }
        pathPrefix = String(path)
        do {
            let address = try HostAndPort(parsing: authority)
            host = address.host.lowercased()
            port = address.port ?? (isSecure ? 443 : 80)
        } catch {
            throw ParsingError(detail: error.detail)
        }
    }

    /// `host` or `host:port`: what the `Host` field holds.
    package var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    package var description: String { "\(isSecure ? "https" : "http")://\(authority)\(pathPrefix)" }

    /// Whether the host is this machine by its very name; no name is looked up.
    package var isLoopback: Bool { Self.isLoopback(host: host) }

    package static func isLoopback(host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        return IPAddress.isLoopbackIPv4(host)
    }

    /// Where Amazon serves `region`.
    package static func official(_ region: Region) -> APIEndpoint {
        let host =
            switch region {
            case .northAmerica: "api.amazonalexa.com"
            case .europe: "api.eu.amazonalexa.com"
            case .farEast: "api.fe.amazonalexa.com"
            }
        return APIEndpoint(isSecure: true, host: host, port: 443, pathPrefix: "")
    }

    /// Names that callers may know a region by and that are never dialled. Some of Amazon's pages print this one.
    package static func officialAliases(_ region: Region) -> [APIEndpoint] {
        region == .farEast ? [APIEndpoint(isSecure: true, host: "api.fe.amazon.com", port: 443, pathPrefix: "")] : []
    }

    private init(isSecure: Bool, host: String, port: Int, pathPrefix: String) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
        self.pathPrefix = pathPrefix
    }
}
