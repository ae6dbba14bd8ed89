/// A proxy that connections to a region go through: HTTP `CONNECT` (RFC 9110 section 9.3.6), with TLS inside of the tunnel.
package struct ForwardProxy: Equatable, Sendable {
    package var host: String
    package var port: Int
    /// Sent as `Proxy-Authorization: Basic` (RFC 7617).
    package var credentials: Credentials?

    package struct Credentials: Equatable, Sendable {
        package var username: String
        package var password: String
    }

    /// `http://[user[:password]@]host:port`, as in `HTTPS_PROXY`; nil for anything else.
    ///
    /// The way to the proxy is not encrypted; what goes through it is.
    package init?(url: String) {
        let scheme = "http://"
        guard url.lowercased().hasPrefix(scheme) else { return nil }
        var authority = url.dropFirst(scheme.count)
        if authority.hasSuffix("/") { authority.removeLast() }
        if let at = authority.lastIndex(of: "@") {
            guard let credentials = Credentials(text: authority[..<at]) else { return nil }
            self.credentials = credentials
            authority = authority[authority.index(after: at)...]
        }
        guard !authority.contains("/"), authority.split(separator: ":").last.flatMap({ Int($0) }) != nil,
            let endpoint = try? APIEndpoint(parsing: scheme + authority)
        else { return nil }
        host = endpoint.host
        port = endpoint.port
    }

    /// Asks for a tunnel.
    package func connectRequest(to endpoint: APIEndpoint) -> String {
        let name = endpoint.host.contains(":") ? "[\(endpoint.host)]" : endpoint.host
        var request = "CONNECT \(name):\(endpoint.port) HTTP/1.1\r\nHost: \(name):\(endpoint.port)\r\n"
        if let credentials {
            let text = Base64.encode(Array("\(credentials.username):\(credentials.password)".utf8))
            request += "Proxy-Authorization: Basic \(text)\r\n"
        }
        return request + "\r\n"
    }

    /// Whether no proxy is to be used for a host, by a list as in `NO_PROXY`: names parted by commas; one stands for all names
    /// below it, too, with a dot before it or without; `*` for everything.
    package static func isExcepted(_ host: String, by list: String) -> Bool {
        let host = host.lowercased()
        return list.lowercased().split(separator: ",").contains { entry in
            var name = entry.filter { $0 != " " }
            if name == "*" { return true }
            if name.hasPrefix(".") { name.removeFirst() }
            return !name.isEmpty && (host == name || host.hasSuffix("." + name))
        }
    }
}

extension ForwardProxy.Credentials {
    /// `user` or `user:password`, percent-encoded.
    fileprivate init?(text: Substring) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let username = Self.decoded(parts[0]), !username.isEmpty,
            let password = Self.decoded(parts.count > 1 ? parts[1] : "")
        else { return nil }
        self.init(username: username, password: password)
    }

    private static func decoded(_ text: Substring) -> String? {
        let bytes = Array(text.utf8)
        // A line end would start another field.
        guard let decoded = PercentEncoding.decode(bytes.span, 0..<bytes.count),
            decoded.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { return nil }
        return String(decoding: decoded, as: UTF8.self)
    }
}
