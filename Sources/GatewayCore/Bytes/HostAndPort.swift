/// `host` or `host:port`, with an IPv6 address in brackets (RFC 3986 section 3.2).
package struct HostAndPort: Equatable, Sendable {
    /// Without brackets.
    package let host: String
    package let port: Int?

    package struct ParsingError: Error, Equatable {
        /// A predicate to append to the name of the parsed value: "has no host".
        package let detail: String
    }

    package init(parsing text: Substring, ports: ClosedRange<Int> = 1...65_535) throws(ParsingError) {
        var portText: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else {
                throw ParsingError(detail: "has an IPv6 address without a closing bracket")
            }
            host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if rest.hasPrefix(":") {
                portText = rest.dropFirst()
            } else if !rest.isEmpty {
                throw ParsingError(detail: "has something other than a port after the IPv6 address")
            }
        } else {
            let colon = text.firstIndex(of: ":")
            host = String(text[..<(colon ?? text.endIndex)])
            portText = colon.map { text[text.index(after: $0)...] }
        }
        guard !host.isEmpty else { throw ParsingError(detail: "has no host") }
        guard let portText else {
            port = nil
            return
        }
        guard let port = Int(digits: portText), ports.contains(port) else {
            throw ParsingError(
                detail: "has a port that is not a number from \(ports.lowerBound) to \(ports.upperBound)")
        }
        self.port = port
    }
}
