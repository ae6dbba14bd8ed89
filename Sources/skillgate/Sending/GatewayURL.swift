import GatewayCore

/// What `--gateway` may be.
enum GatewayURL {
    /// `http://` or `https://`, a host, and nothing behind it.
    static func isValid(_ url: String) -> Bool {
        guard let scheme = ["http://", "https://"].first(where: url.hasPrefix) else { return false }
        let rest = url.dropFirst(scheme.count)
        let authority = rest.hasSuffix("/") ? rest.dropLast() : rest
        return !authority.isEmpty && !authority.contains("/") && authority.isVisibleASCII
    }
}
