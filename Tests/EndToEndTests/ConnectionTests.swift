import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// What the listener does with connections, byte by byte.
@Suite(.serialized) struct ConnectionTests {
    @Test func `pipelined messages are answered in order on one connection`() async throws {
        try await TestBed.run { bed in
            let text = bed.request(user: "NA-1") + bed.request(user: "GONE-1") + bed.request(user: "NA-2")
            let statuses = try await RawConnection.with(port: bed.port) { connection in
                try await connection.send(text)
                var statuses: [Int] = []
                for _ in 0..<3 { statuses.append(try await connection.answer()?.status ?? 0) }
                return statuses
            }
            #expect(statuses == [202, 404, 202])
            #expect(
                try await bed.acceptedMessages().map(\.userId).sorted() == [
                    "amzn1.ask.account.NA-1", "amzn1.ask.account.NA-2",
                ])
        }
    }

    @Test func `chunked content and a go-ahead`() async throws {
        try await TestBed.run { bed in
            let head = bed.request(user: "NA-1", content: "").replacingOccurrences(
                of: "Content-Length: 0", with: "Expect: 100-continue\r\nTransfer-Encoding: chunked")
            let (first, second) = try await RawConnection.with(port: bed.port) { connection in
                let first = try await connection.exchange(head)
                return (first?.status, try await connection.exchange("b\r\n{\"data\":{}}\r\n0\r\n\r\n")?.status)
            }
            #expect(first == 100)
            #expect(second == 202)
        }
    }

    @Test func `no go-ahead for a request whose head is refused already`() async throws {
        try await TestBed.run { bed in
            let heads = [
                "POST /v1/skillmessages/users/u HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
                "POST /nowhere HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
                "DELETE /v1/skillmessages/users/u HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
            ]
            for (head, status) in zip(heads, [401, 404, 405]) {
                let (answer, next) = try await RawConnection.with(port: bed.port) { connection in
                    (try await connection.exchange(head), try await connection.answer())
                }
                #expect(answer?.status == status)
                #expect(answer?.field("Connection") == "close")
                #expect(next == nil)
            }
        }
    }

    @Test func `the answer to HEAD has no content, and every answer has a date`() async throws {
        try await TestBed.run { bed in
            let text = "HEAD /v1/skillmessages/users/u HTTP/1.1\r\nHost: a\r\n\r\n" + bed.request(user: "NA-1")
            let bytes = try await RawConnection.with(port: bed.port) { connection in
                try await connection.send(text)
                return try await connection.bytes(until: "202 Accepted")
            }
            #expect(bytes.hasPrefix("HTTP/1.1 405 Method Not Allowed\r\n"))
            #expect(bytes.contains("\r\n\r\nHTTP/1.1 202 Accepted"))
            #expect(
                bytes.matches(of: /\r\nDate: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n/).count >= 1
            )
        }
    }

    /// So much less than a megabyte that what the kernel keeps for both sides is no matter.
    private static let mostPerConnection = 24 << 20

    @Test func `answers that are not read are not made, and the connection ends`() async throws {
        let listeners = "[{address: 127.0.0.1:0, writeTimeout: 1s}]"
        try await TestBed.run(listeners: listeners) { bed in
            let before = try await bed.residentBytes()
            let request = String(repeating: "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", count: 10_000)
            let socket = try LoopbackSocket(connectedTo: bed.port)
            defer { socket.close() }
            // Until the gateway takes no more, and then until it has had enough of waiting.
            #expect(socket.writeUntilClosed(request, atMost: .seconds(20)))
            #expect(try await bed.residentBytes() - before < Self.mostPerConnection)
            #expect(try await bed.send("NA-1").status == 202)
        }
    }

    @Test func `a connection that says nothing ends soon, and one that has said something may be kept`() async throws {
        try await TestBed.run { bed in
            let answer = try await RawConnection.with(port: bed.port) { try await $0.answer() }
            #expect(answer == nil)
        }
    }

    @Test func `one address cannot take all connections`() async throws {
        let listeners = "[{address: 127.0.0.1:0, maximumConnections: 20, maximumConnectionsPerAddress: 5}]"
        try await TestBed.run(listeners: listeners) { bed in
            let sockets = try (0..<40).map { _ in try LoopbackSocket(connectedTo: bed.port) }
            defer { for socket in sockets { socket.close() } }
            #expect(try await TestBed.transfer("GET", bed.adminURL + "/livez").status == 200)
            try await bed.untilMetric(#"skillgate_connections_turned_away_total"#, isAnyOf: Array(35...36))
        }
    }

    @Test(arguments: [
        "POST /v1/skillmessages/users/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /v1/skillmessages/users/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "\u{16}\u{03}\u{01}\r\n\r\n",
    ])
    func `what is ambiguous is 400, and the connection ends`(text: String) async throws {
        try await TestBed.run { bed in
            let (answer, next) = try await RawConnection.with(port: bed.port) { connection in
                let answer = try await connection.exchange(text)
                return (answer, try await connection.answer())
            }
            #expect(answer?.status == 400)
            #expect(answer?.field("Connection") == "close")
            #expect(answer?.content.contains("request-malformed") == true)
            #expect(next == nil)
        }
    }

    @Test func `a head that does not end is 408`() async throws {
        try await TestBed.run { bed in
            let answer = try await RawConnection.with(port: bed.port) { try await $0.exchange("POST / HTTP/1.1\r\nHo") }
            #expect(answer?.field("X-Request-Id")?.count == 24)
            #expect(answer?.status == 408 && answer?.field("X-Request-Id")?.count == 24)
        }
    }

    /// More than one slice of the sweep.
    @Test func `heads that do not end, many at once, are all 408`() async throws {
        try await TestBed.run { bed in
            let port = bed.port
            let statuses = try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<400 {
                    group.addTask {
                        try await RawConnection.with(port: port) {
                            try await $0.exchange("POST / HTTP/1.1\r\nHo")?.status
                        }
                    }
                }
                return try await group.reduce(into: [Int?]()) { $0.append($1) }
            }
            #expect(statuses == Array(repeating: 408, count: 400))
        }
    }

    @Test func `a caller that closes its side still gets the answer, and one that asks for close gets it`() async throws
    {
        try await TestBed.run { bed in
            let text = bed.request(user: "NA-1").replacingOccurrences(of: "Host:", with: "Connection: close\r\nHost:")
            let (answer, next) = try await RawConnection.with(port: bed.port) { connection in
                (try await connection.exchange(text), try await connection.answer())
            }
            #expect(answer?.status == 202)
            #expect(answer?.field("Connection") == "close")
            #expect(next == nil)
        }
    }

    @Test func `a message that does not end in the time to drain is 504, and the gateway ends`() async throws {
        try await TestBed.run(environment: ["SKILLGATE_DRAIN_TIMEOUT": "1s"]) { bed in
            try await bed.setFaults(#"{"NA": {"connection": "hang"}}"#)
            let status = try await RawConnection.with(port: bed.port) { connection in
                try await connection.send(bed.request(user: "NA-1"))
                try await bed.untilMessagesInFlight(1)
                bed.gateway.signal(SIGTERM)
                return try await connection.answer()?.status
            }
            #expect(status == 504)
            #expect(await bed.gateway.exitStatus() == 0)
            #expect(bed.gateway.log.contains("drain timeout exceeded") && !bed.gateway.log.contains("drained:"))
        }
    }

    @Test func `SIGTERM: readiness fails, the message in flight is answered, exit 0`() async throws {
        try await TestBed.run { bed in
            #expect(try await bed.send("NA-9").status == 202)
            try await bed.setFaults(#"{"NA": {"latencyMilliseconds": 700}}"#)
            let (status, connection) = try await RawConnection.with(port: bed.port) { connection in
                try await connection.send(bed.request(user: "NA-1"))
                try await bed.untilMessagesInFlight(1)
                bed.gateway.signal(SIGTERM)
                let answer = try await connection.answer()
                return (answer?.status, answer?.field("Connection"))
            }
            #expect(status == 202)
            #expect(connection == "close")
            #expect(await bed.gateway.exitStatus() == 0)
            #expect(try await bed.counters().accepted == 2)
        }
    }
}
