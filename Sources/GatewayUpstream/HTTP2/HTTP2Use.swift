/// Whether a region is asked for HTTP/2.
package struct HTTP2Use: Equatable, Sendable {
    package enum Mode: String, CaseIterable, Sendable {
        /// Where TLS agrees on it (ALPN, RFC 7301).
        case auto
        case off
        /// As `auto`, and without TLS by prior knowledge (RFC 9113 section 3.3).
        case on
    }

    enum Choice {
        /// What TLS has agreed on, if anything.
        case byNegotiation(String?)
        case withoutNegotiation
    }

    package var mode: Mode
    /// Messages on one connection at once, at most: so many outcomes are in doubt if it is lost.
    package var streamsPerConnection: Int

    package init(_ mode: Mode = .auto, streamsPerConnection: Int = 32) {
        self.mode = mode
        self.streamsPerConnection = streamsPerConnection
    }

    /// For ALPN, the preferred first.
    package var applicationProtocols: [String] { mode == .off ? ["http/1.1"] : ["h2", "http/1.1"] }

    /// Whether a connection may turn out to carry several messages at once.
    func isPossible(isSecure: Bool) -> Bool { isSecure ? mode != .off : mode == .on }

    func isChosen(_ choice: Choice) -> Bool {
        switch choice {
        case .byNegotiation(let name): mode != .off && name == "h2"
        case .withoutNegotiation: mode == .on
        }
    }
}
