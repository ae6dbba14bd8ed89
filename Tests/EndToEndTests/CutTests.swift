import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// The upstream goes away after each byte there is: what the record and the caller are told, and that nothing is sent twice.
@Suite(.serialized) struct CutTests {
    private static let accepted =
        "HTTP/1.1 202 Accepted\r\nX-Amzn-RequestId: 0d29c856-00aa-11ef-9262-0242ac120002\r\nContent-Length: 0\r\n"
        + "Connection: close\r\n\r\n"
    private static let refused =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 15\r\nConnection: close\r\n\r\n"
        + #"{"message":"x"}"#
    private static let chunked =
        "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

    private func with(_ body: (TestBed, CuttingServer) async throws -> Void) async throws {
        let server = try CuttingServer()
        defer { server.stop() }
        // Hundreds of failures in a row are the purpose here.
        try await TestBed.run(
            configuration: "upstream: {circuitBreaker: false}",
            regions: "regions: {NA: {apiEndpoint: http://127.0.0.1:\(server.port)}}"
        ) { bed in
            try await body(bed, server)
        }
    }

    /// Sends one message whose upstream is cut, and its retry. Expects that the upstream was written to once.
    private func sendTwice(
        _ bed: TestBed, _ server: CuttingServer, _ key: String, _ cut: CuttingServer.Cut
    ) async throws -> (first: Int, retry: Int, isReplay: Bool) {
        server.cut(cut)
        let before = server.requests
        let request = bed.request(user: "NA-1", idempotencyKey: key)
        let (first, retry) = try await RawConnection.with(port: bed.port) { connection in
            (try await connection.exchange(request), try await connection.exchange(request))
        }
        let isReplay = retry?.field("Idempotent-Replayed") == "true"
        #expect(server.requests - before == (isReplay ? 1 : 2), "\(cut)")
        return (first?.status ?? 0, retry?.status ?? 0, isReplay)
    }

    @Test func `after each byte of the request, the outcome is unknown and nothing is sent again`() async throws {
        try await with { bed, server in
            server.cut(.answer(Self.accepted, after: Self.accepted.utf8.count, byReset: false))
            #expect(try await bed.send("NA-1").status == 202)
            // The same length as below: the idempotency key is not sent.
            let length = server.lastRequestLength
            #expect(length > 300)
            for offset in 0...length {
                let outcome = try await sendTwice(bed, server, "r-\(offset)", .request(after: offset))
                #expect(outcome == (504, 504, true), "after \(offset) bytes")
                #expect(try await bed.report("r-\(offset)").hasPrefix(#"{"state":"unknown","#))
            }
        }
    }

    @Test(arguments: [(accepted, 202, "accepted"), (chunked, 202, "accepted"), (refused, 400, "absent")])
    func `after each byte of the answer, too, until its head is whole and the status is known`(
        answer: String, status: Int, state: String
    ) async throws {
        try await with { bed, server in
            let length = answer.utf8.count
            let head = try #require(answer.range(of: "\r\n\r\n")?.upperBound)
            let headLength = answer[..<head].utf8.count
            for offset in 0...length {
                // A reset may overtake what was sent before it.
                let byReset = offset % 2 == 1 && offset < headLength
                let cut = CuttingServer.Cut.answer(answer, after: offset, byReset: byReset)
                let outcome = try await sendTwice(bed, server, "a-\(offset)", cut)
                if offset < headLength {
                    #expect(outcome == (504, 504, true), "after \(offset) bytes")
                    #expect(try await bed.report("a-\(offset)").hasPrefix(#"{"state":"unknown","#))
                } else {
                    #expect(outcome == (status, status, state == "accepted"), "after \(offset) bytes")
                    #expect(try await bed.report("a-\(offset)").contains(#""state":"\#(state)""#))
                }
            }
        }
    }
}
