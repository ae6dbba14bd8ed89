import Testing

@testable import GatewayServer

struct CertificateNameTests {
    @Test func `a DNS name is known in lower case, a URI as it is`() {
        #expect(CertificateName.dns(Array("Orders.Example.ORG".utf8)) == "dns:orders.example.org")
        #expect(CertificateName.uri(Array("spiffe://Example.org/Orders".utf8)) == "uri:spiffe://Example.org/Orders")
    }

    @Test(arguments: ["\u{212A}elvin.example.org", "e\u{301}.example.org", "a\0b", "a b", "", "a\r\nb"])
    func `what is no visible ASCII names nobody`(name: String) {
        #expect(CertificateName.dns(Array(name.utf8)) == nil)
        #expect(CertificateName.uri(Array(name.utf8)) == nil)
    }

    @Test func `nor do bytes that are no UTF-8`() {
        #expect(CertificateName.dns([0x61, 0xFF]) == nil)
    }
}
