/// Which hosts are IP addresses; no name is looked up.
package enum IPAddress {
    static func isLoopbackIPv4(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy(isOctet)
    }

    /// `dec-octet` of RFC 3986 section 3.2.2: only digits, no sign, and no leading zero, which some parsers read as octal.
    private static func isOctet(_ text: Substring) -> Bool {
        (1...3).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
            && (text.utf8.count == 1 || text.utf8.first != UInt8(ascii: "0")) && UInt8(text) != nil
    }

    /// Whether the host is an IP address and no name.
    package static func isAddress(_ host: String) -> Bool {
        host.contains(":")
            || host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isOctet)
    }
}
