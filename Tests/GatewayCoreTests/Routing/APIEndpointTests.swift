import NIOCore
import Testing

@testable import GatewayCore

@Suite struct APIEndpointTests {
    @Test(arguments: [
        ("https://api.amazonalexa.com", "https://api.amazonalexa.com"),
        ("HTTPS://API.AmazonAlexa.com:443/", "https://api.amazonalexa.com"),
        ("http://127.0.0.1:9080/na/", "http://127.0.0.1:9080/na"),
        ("https://[::1]:8443/a/b", "https://[::1]:8443/a/b"),
    ])
    func `an endpoint has one normal form`(text: String, normal: String) throws {
        #expect(try APIEndpoint(parsing: text).description == normal)
    }

    @Test(arguments: [
        "", "api.amazonalexa.com", "ftp://x", "https://", "https://x:0", "https://x:65536", "https://x:y",
        "https://u@x", "https://x?y", "https://x#y", "https://x y", "https://[::1", "https://[::1]x", "https://:1",
    ])
    func `anything else is refused`(text: String) {
        #expect(throws: APIEndpoint.ParsingError.self) { try APIEndpoint(parsing: text) }
    }

    @Test(arguments: [
        ("localhost", true), ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("128.0.0.1", false),
        ("127.0.0.1.example.org", false), ("127.0.0", false), ("example.org", false),
        ("127.+0.0.1", false), ("127.0.0.01", false), ("127.0.0.256", false), ("127.-0.0.1", false),
        ("127.0.0.", false),
    ])
    func `loopback is known by its name`(host: String, isLoopback: Bool) {
        #expect(APIEndpoint.isLoopback(host: host) == isLoopback)
    }

    private func region(_ text: String, in directory: RegionDirectory) -> Region? {
        let buffer = ByteBuffer(string: text)
        return directory.region(of: buffer.readableBytesUInt8Span, 0..<buffer.readableBytes)
    }

    @Test func `a region is known by its endpoint, its aliases and Amazon's own names`() throws {
        let simulator = try ByRegion { try APIEndpoint(parsing: "http://127.0.0.1:9080/\($0.name.lowercased())") }
        let alias = try APIEndpoint(parsing: "https://alias.example.org")
        let directory = try RegionDirectory(ByRegion { $0 == .europe ? [simulator[$0], alias] : [simulator[$0]] })
        #expect(region("http://127.0.0.1:9080/fe", in: directory) == .farEast)
        #expect(region("https://ALIAS.example.org/", in: directory) == .europe)
        #expect(region("https://api.eu.amazonalexa.com", in: directory) == .europe)
        #expect(region("https://api.fe.amazon.com", in: directory) == .farEast)
        #expect(region("https://evil.example.org", in: directory) == nil)
        #expect(region("https://api.amazonalexa.com.evil.example.org", in: directory) == nil)
    }

    @Test func `an endpoint of two regions is a mistake`() throws {
        #expect(throws: RegionDirectory.Conflict.self) { try RegionDirectory(ByRegion { _ in [.official(.europe)] }) }
    }
}
