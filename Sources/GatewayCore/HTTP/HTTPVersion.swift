/// What is spoken on a connection, by its name in ALPN (RFC 7301); a label of the metrics.
package enum HTTPVersion: String, CaseIterable, Sendable {
    case http1 = "http/1.1"
    case http2 = "h2"
}
