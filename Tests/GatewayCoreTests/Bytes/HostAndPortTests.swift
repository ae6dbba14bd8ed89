import Testing

@testable import GatewayCore

struct HostAndPortTests {
    @Test(
        arguments: [
            ("localhost", "localhost", nil), ("a.example:1", "a.example", 1), ("[::1]", "::1", nil),
            ("[::1]:65535", "::1", 65_535), ("127.0.0.1:080", "127.0.0.1", 80),
        ] as [(String, String, Int?)])
    func `a host may have a port, and an IPv6 address has brackets`(text: String, host: String, port: Int?) throws {
        let parsed = try HostAndPort(parsing: text[...])
        #expect(parsed.host == host && parsed.port == port)
    }

    @Test(arguments: ["", ":80", "[]:80", "[::1", "[::1]80", "::1", "a:", "a:0", "a:65536", "a:+80", "a: 80", "a:1:2"])
    func `anything else says what is wrong`(text: String) {
        #expect { try HostAndPort(parsing: text[...]) } throws: {
            ($0 as? HostAndPort.ParsingError)?.detail.hasPrefix("has ") == true
        }
    }

    @Test func `where nothing is connected to, port 0 is one`() throws {
        #expect(try HostAndPort(parsing: "127.0.0.1:0", ports: 0...65_535).port == 0)
    }
}
