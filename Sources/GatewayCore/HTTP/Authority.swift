/// `uri-host [ ":" port ]` (RFC 9110 section 4.2.1, RFC 3986 section 3.2.2), as in `Host` and in targets in absolute form.
enum Authority {
    /// Whether the bytes in `range` follow that grammar, and name a host.
    static func isValid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        host(bytes, range) != nil
    }

    /// Whether it names this machine, whatever the port: `localhost`, a name under it, or a loopback address.
    static func isLoopback(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard let host = host(bytes, range) else { return false }
        if bytes.isEqualIgnoringCase(host, to: "localhost") || bytes.isEqual(host, to: "[::1]") { return true }
        let suffix = max(host.lowerBound, host.upperBound - 10)..<host.upperBound
        if bytes.isEqualIgnoringCase(suffix, to: ".localhost") { return host.count > 10 }
        return IPAddress.isLoopbackIPv4(bytes.text(host))
    }

    /// Whether it is an IP address or names this machine: no page in a browser can have made its own name lead here.
    static func isAddressOrLoopback(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard let host = host(bytes, range) else { return false }
        return isLoopback(bytes, range) || bytes[host.lowerBound] == UInt8(ascii: "[")
            || IPAddress.isAddress(bytes.text(host))
    }

    /// Where the host stands; nil if that is no authority.
    private static func host(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int>? {
        var end = range.lowerBound
        if end < range.upperBound && bytes[end] == UInt8(ascii: "[") {
            end += 1
            while end < range.upperBound && isAddressCharacter(bytes[end]) { end += 1 }
            guard end < range.upperBound, bytes[end] == UInt8(ascii: "]"), end > range.lowerBound + 2 else {
                return nil
            }
            end += 1
        } else {
            while end < range.upperBound && isNameCharacter(bytes[end]) {
                if bytes[end] == UInt8(ascii: "%") {
                    guard end + 2 < range.upperBound, hexDigit(bytes[end + 1]) != nil, hexDigit(bytes[end + 2]) != nil
                    else { return nil }
                }
                end += 1
            }
        }
        guard end > range.lowerBound else { return nil }
        guard end < range.upperBound else { return range.lowerBound..<end }
        guard bytes[end] == UInt8(ascii: ":"), range.upperBound - end <= 6 else { return nil }
        for index in end + 1..<range.upperBound where !isDigit(bytes[index]) { return nil }
        return range.lowerBound..<end
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Of an IPv6 address. Addresses of future versions are not known here (RFC 3986, `IPvFuture`).
    private static func isAddressCharacter(_ byte: UInt8) -> Bool {
        hexDigit(byte) != nil || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
    }

    /// Of `reg-name`: unreserved, sub-delims and `%`.
    private static func isNameCharacter(_ byte: UInt8) -> Bool {
        // A bit for each: `!$%&'()*+,-.` digits `;=`; letters and `_~`.
        ByteSet(low: 0x2BFF_7FF2_0000_0000, high: 0x47FF_FFFE_87FF_FFFE).contains(byte)
    }
}
