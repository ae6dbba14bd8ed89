/// Which hosts are IP addresses; no name is looked up.
package enum IPAddress {
    static func isLoopbackIPv4(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy(isOctet)
    }

    /// `dec-octet` of RFC 3986 section 3.2.2: only digits, no sign, and no leading zero, which some parsers read as octal.
    private static func isOctet(_ text: Substring) -> Bool {
        Int(digits: text, leadingZeros: false).map { $0 <= 255 } ?? false
    }

    /// Whether the host is an IP address and no name.
    package static func isAddress(_ host: String) -> Bool {
        host.contains(":")
            || host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isOctet)
    }
}
