import Foundation
import GatewayCore
import NIOCore
import NIOEmbedded
import Testing

@testable import GatewayServer

/// One connection on a testing channel: time stands until the test moves it.
@Suite struct HTTPConnectionTests {
    private static func request(_ path: String, _ fields: String = "", method: String = "GET") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
    }

    @Test func `requests sent ahead are answered one by one and in order`() throws {
        let bed = try ConnectionBed()
        bed.handler.answersLater = true
        try bed.receive(Self.request("/1") + Self.request("/2") + Self.request("/3"))
        #expect(bed.handler.paths == ["/1"])
        bed.handler.answer()
        #expect(bed.handler.paths == ["/1", "/2"])
        bed.handler.answer()
        bed.handler.answer()
        bed.channel.embeddedEventLoop.run()
        #expect(bed.handler.paths == ["/1", "/2", "/3"])
        #expect(try bed.answers == 3)
    }

    @Test func `while answers wait to be read, no request is taken`() throws {
        let bed = try ConnectionBed()
        bed.setWritable(false)
        try bed.receive(Self.request("/1") + Self.request("/2"))
        #expect(bed.handler.paths == [])
        bed.setWritable(true)
        #expect(bed.handler.paths == ["/1", "/2"])
        #expect(try bed.answers == 2)
    }

    @Test func `answers that are not read for ten seconds end the connection`() throws {
        let bed = try ConnectionBed()
        try bed.receive(Self.request("/1"))
        bed.setWritable(false)
        bed.pass(.seconds(9))
        #expect(bed.channel.isActive)
        bed.setWritable(true)
        bed.setWritable(false)
        bed.pass(.seconds(9))
        #expect(bed.channel.isActive)
        bed.pass(.milliseconds(1250))
        #expect(!bed.channel.isActive)
    }

    @Test func `a connection on which nothing comes ends within seconds, and one that was used is kept`() throws {
        let silent = try ConnectionBed()
        silent.pass(.milliseconds(5250))
        #expect(!silent.channel.isActive)
        let used = try ConnectionBed()
        try used.receive(Self.request("/1"))
        used.pass(.seconds(74))
        #expect(used.channel.isActive)
        used.pass(.seconds(2))
        #expect(!used.channel.isActive)
    }

    @Test(arguments: [
        "P", "PRI * HTTP/2", "GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
    ])
    func `what does not arrive in time is 408`(text: String) throws {
        let bed = try ConnectionBed()
        try bed.receive(text)
        bed.pass(.milliseconds(10_250))
        #expect(try bed.sent.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        #expect(bed.handler.refused == [.requestTimeout])
    }

    @Test func `a go-ahead is given unless the head alone is refused`() throws {
        let head = Self.request("/1", "Expect: 100-continue\r\nContent-Length: 2\r\n", method: "POST")
        let bed = try ConnectionBed()
        try bed.receive(head)
        #expect(try bed.sent == "HTTP/1.1 100 Continue\r\n\r\n")
        try bed.receive("ab")
        #expect(try bed.answers == 1)
        let refusing = try ConnectionBed()
        refusing.handler.refusesHeads = true
        try refusing.receive(head)
        #expect(try refusing.sent.hasPrefix("HTTP/1.1 401 Unauthorized\r\n"))
        #expect(try refusing.sent.contains("Connection: close\r\n"))
        #expect(refusing.handler.paths == [])
    }

    @Test func `the answer to HEAD is a head`() throws {
        let bed = try ConnectionBed()
        try bed.receive(Self.request("/1", method: "HEAD"))
        #expect(try bed.sent.hasSuffix("Content-Length: 2\r\n\r\n"))
        #expect(try bed.sent.contains("\r\nDate: "))
    }

    @Test func `an address that has its share gets no further connection`() throws {
        let gate = ConnectionGate(limit: 4, perAddress: 2)
        #expect(gate.opened(from: .ipv4(1)) && gate.opened(from: .ipv4(1)))
        #expect(!gate.opened(from: .ipv4(1)))
        #expect(gate.opened(from: .ipv4(2)) && !gate.isShut)
        #expect(gate.opened(from: .local) && gate.isShut)
        gate.closed(from: .ipv4(1))
        #expect(!gate.isShut && gate.turnedAway == 1)
        #expect(gate.opened(from: .ipv4(1)))
    }

    @Test func `draining ends each connection with its answer`() throws {
        let bed = try ConnectionBed()
        bed.handler.answersLater = true
        try bed.receive(Self.request("/1"))
        bed.listener.startDraining()
        bed.handler.answer()
        bed.channel.embeddedEventLoop.run()
        #expect(try bed.sent.contains("Connection: close\r\n"))
        bed.pass(.seconds(2))
        #expect(!bed.channel.isActive)
    }

    // MARK: X-Request-Id

    /// Those of all answers.
    private func ids(_ text: String) -> [String] {
        text.components(separatedBy: "\r\n").compactMap {
            $0.hasPrefix("X-Request-Id: ") ? String($0.dropFirst("X-Request-Id: ".count)) : nil
        }
    }

    @Test func `each answer has the id of its request, or one of its own`() throws {
        let bed = try ConnectionBed()
        let longest = String(repeating: "x", count: 128)
        for field in ["X-Request-Id: order/1\r\n", "x-request-id: \(longest)\r\n", ""] {
            try bed.receive("GET /a HTTP/1.1\r\nHost: x\r\n\(field)\r\n")
        }
        // Pipelined, the last one with a head that is no request.
        try bed.receive("GET /b HTTP/1.1\r\nHost: x\r\nX-Request-Id: b\r\n\r\nGET /c HTTP/1.1\r\n\r\n")
        let ids = try ids(bed.sent)
        #expect(ids.count == 5)
        #expect(ids[0] == "order/1" && ids[1] == longest && ids[3] == "b")
        #expect(Set(ids).count == 5)
        for made in [ids[2], ids[4]] { #expect(made.wholeMatch(of: /[0-9a-f]{24}/) != nil, "\(made)") }
    }

    @Test(arguments: [
        "", "a b", "\u{E4}", "a\tb", String(repeating: "x", count: 129), String(repeating: "y", count: 10_000),
        "one\r\nX-Request-Id: two",
    ])
    func `an id that is none never comes back`(value: String) throws {
        let bed = try ConnectionBed()
        try bed.receive("GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: \(value)\r\n\r\n")
        let ids = try ids(bed.sent)
        #expect(ids.count == 1 && ids[0].wholeMatch(of: /[0-9a-f]{24}/) != nil, "\(ids)")
    }

    @Test func `what is refused before it is whole has the id that its head says`() throws {
        for (head, status) in [
            ("POST /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nContent-Length: 99999999\r\n\r\n", "413"),
            ("POST /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nTransfer-Encoding: chunked\r\n\r\nzz", "400"),
        ] {
            let bed = try ConnectionBed()
            try bed.receive(head + "\r\n")
            let sent = try bed.sent
            #expect(sent.hasPrefix("HTTP/1.1 \(status) "), "\(sent)")
            #expect(ids(sent) == ["mine"] && sent.contains(#""instance":"urn:skillgate:request:mine""#), "\(sent)")
        }
    }
}
