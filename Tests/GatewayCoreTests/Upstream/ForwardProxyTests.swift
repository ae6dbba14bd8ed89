import Testing

@testable import GatewayCore

struct ForwardProxyTests {
    @Test func `a URL says where it is, and as whom to come`() throws {
        let plain = try #require(ForwardProxy(url: "http://proxy.example.org:3128"))
        #expect(plain.host == "proxy.example.org" && plain.port == 3128 && plain.credentials == nil)
        let named = try #require(ForwardProxy(url: "HTTP://user:p%40ss:word@[::1]:8080/"))
        #expect(named.host == "::1" && named.port == 8080)
        #expect(named.credentials == .init(username: "user", password: "p@ss:word"))
        #expect(ForwardProxy(url: "http://user@proxy:1")?.credentials == .init(username: "user", password: ""))
    }

    @Test(arguments: [
        "", "proxy:3128", "https://proxy:3128", "socks5://proxy:1080", "http://", "http://proxy", "http://proxy:0",
        "http://proxy:99999", "http://proxy:3128/path", "http://:secret@proxy:3128", "http://u%0d%0aX:p@proxy:3128",
        "http://u%zz:p@proxy:3128", "http://[::1]",
    ])
    func `what is no URL of a proxy is none`(url: String) {
        #expect(ForwardProxy(url: url) == nil)
    }

    @Test func `it is asked for a tunnel to the region, whatever the path of that is`() throws {
        let endpoint = try APIEndpoint(parsing: "https://api.example.org/na")
        let plain = try #require(ForwardProxy(url: "http://proxy:3128"))
        #expect(
            plain.connectRequest(to: endpoint)
                == "CONNECT api.example.org:443 HTTP/1.1\r\nHost: api.example.org:443\r\n\r\n")
        let named = try #require(ForwardProxy(url: "http://Aladdin:open%20sesame@proxy:3128"))
        // The example of RFC 7617 section 2.
        #expect(
            named.connectRequest(to: try APIEndpoint(parsing: "https://[::1]:8443"))
                == "CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n"
                + "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n")
    }

    @Test(arguments: [
        ("api.example.org", "example.org", true), ("api.example.org", ".example.org", true),
        ("api.example.org", "API.example.org", true), ("example.org", ".example.org", true),
        ("badexample.org", "example.org", false), ("api.example.org", "localhost, example.org", true),
        ("api.example.org", "*", true), ("api.example.org", "", false), ("api.example.org", ",,", false),
        ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0", false),
    ])
    func `exceptions are as in NO_PROXY`(host: String, list: String, isExcepted: Bool) {
        #expect(ForwardProxy.isExcepted(host, by: list) == isExcepted)
    }
}
