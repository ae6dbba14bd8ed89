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
            #expect(answer?.status == 408)
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
