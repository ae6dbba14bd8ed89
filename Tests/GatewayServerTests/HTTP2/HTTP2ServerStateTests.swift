import GatewayCore
import NIOCore
import Testing

@testable import GatewayServer

/// Requests and responses of one connection: windows, limits, floods, time and its end.
@Suite struct HTTP2ServerStateTests {
    private typealias Flag = HTTP2Frame.Flag

    private static let response = "HTTP/1.1 404 Not Found\r\nGateway-Region: NA\r\nContent-Length: 10\r\n\r\n0123456789"

    // MARK: Requests and responses

    @Test func `a request says what it would over HTTP 1`() throws {
        var client = TestClient()
        client.send {
            $0.writeRequest(
                1,
                [
                    (":method", "POST"), (":path", "/v1/x?y=1"), (":scheme", "https"), (":authority", "gateway:8080"),
                    ("content-type", "application/json"), ("x-request-id", "mine"),
                ], ends: false)
            $0.writeFrame(.data, stream: 1, Array("{\"a\"".utf8))
            $0.writeFrame(.data, flags: Flag.endStream | Flag.padded, stream: 1, [2] + Array(":1}".utf8) + [0, 0])
        }
        let request = try #require(client.requests.first?.request)
        #expect(request.head.method == .post)
        #expect(request.path == "/v1/x")
        #expect(request.head.contentType.map(request.text) == "application/json")
        #expect(request.head.authority.map(request.text) == "gateway:8080")
        #expect(String(buffer: request.content) == "{\"a\":1}")
        #expect(String(buffer: request.headBytes).contains("\r\nx-request-id: mine\r\n"))
    }

    @Test func `responses go out in the order in which they come, not in that of the requests`() {
        var client = TestClient()
        client.send { for stream in [1, 3, 5] as [UInt32] { $0.writeRequest(stream) } }
        for stream in [5, 1, 3] as [UInt32] { client.respond(Self.response, stream: stream) }
        #expect(client.frames(.headers).map(\.stream) == [5, 1, 3])
        #expect(client.frames(.data).allSatisfy { $0.has(Flag.endStream) })
        #expect(client.content(3) == "0123456789")
        #expect(client.status(3) == 404)
        #expect(client.state.openStreams == 0)
    }

    @Test func `what breaks a rule of HTTP 1 is told so, and the connection goes on`() {
        var client = TestClient(answers: true)
        client.send {
            $0.writeRequest(1, TestClient.get.filter { $0.0 != ":authority" })
            $0.writeRequest(3, TestClient.get + [("expect", "anything")])
            $0.writeRequest(5, TestClient.get + (0..<65).map { ("x-\($0)", "") })
            $0.writeRequest(7, TestClient.get + [("x-large", String(repeating: "x", count: 16_300))])
            $0.writeRequest(9, [(":method", "POST")] + TestClient.post[1...] + [("content-length", "65537")])
            $0.writeRequest(11)
        }
        #expect([1, 3, 5, 7, 9].map(client.status) == [400, 400, 413, 413, 413])
        #expect(client.status(11) == 202)
        #expect(client.connectionError == nil)
    }

    @Test func `content above the limit is refused when it comes, and the rest of it is let through`() {
        var client = TestClient(contentBytes: 100)
        client.send {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 101))
            $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 1000))
        }
        #expect(client.status(1) == 413)
        #expect(client.windowUpdate(1) == 1101)
        #expect(client.frames(.resetStream).isEmpty)
        client.send { $0.writeFrame(.data, flags: Flag.endStream, stream: 1) }
        #expect(client.state.openStreams == 0)
        #expect(client.frames(.resetStream).isEmpty)
    }

    @Test func `a client that goes on sending behind its response is stopped`() {
        var client = TestClient(contentBytes: 100)
        client.send {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 101))
        }
        client.pass(.seconds(3))
        #expect(client.streamError(1) == .noError)
        // What was on its way is no error.
        client.send { $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 100)) }
        #expect(client.connectionError == nil)
    }

    @Test func `who waits for a go-ahead gets it, once`() {
        var client = TestClient()
        client.send { $0.writeRequest(1, TestClient.post + [("expect", "100-continue")], ends: false) }
        #expect(client.begun.map(\.stream) == [1] && client.begun.map(\.expectsContinue) == [true])
        client.state.continues(stream: 1)
        client.send { $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 100)) }
        #expect(client.status(1) == 100)
        #expect(client.begun.count == 1)
        client.send { $0.writeFrame(.data, flags: Flag.endStream, stream: 1) }
        #expect(client.requests.count == 1)
    }

    @Test func `padding does not use up the room for a content`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, flags: Flag.padded, stream: 1, [200, 1] + [UInt8](repeating: 0, count: 200))
        }
        #expect(client.windowUpdate(1) == 201)
    }

    @Test func `content that is too large and of no stated length gets room to come to its end`() {
        var client = TestClient(contentBytes: 100)
        client.send {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 60))
            $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 60))
        }
        #expect(client.status(1) == 413)
        #expect(client.windowUpdate(1) == 120)
    }

    @Test func `a HEAD that is refused has no content either`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(
                1, [(":method", "HEAD")] + TestClient.get[1...] + [("content-length", "70000")], ends: false)
        }
        #expect(client.refusals.count == 1)
        #expect(client.refusedHeads == [true])
    }

    @Test func `what a client sends for a stream that it has reset is an error of that stream alone`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(1)
            $0.writeRequest(3)
            $0.writeReset(stream: 3, .cancel)
            $0.writeFrame(.data, stream: 3, [1])
        }
        client.respond(Self.response, stream: 1)
        #expect(client.status(1) == 404)
        #expect(client.streamError(3) == .streamClosed)
    }

    // MARK: Windows

    @Test func `of settings that come twice in a frame, the last counts`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(1)
            $0.writeWindowUpdate(stream: 1, by: 1)
            // Alone, it would make the window too large.
            $0.writeSettings([(.initialWindowSize, 0x7FFF_FFFF), (.initialWindowSize, 2)])
        }
        client.answerFirst(Self.response)
        #expect(client.content(1) == "012")
    }

    @Test func `a response waits for the windows of its stream and of the connection`() {
        var client = TestClient(settings: [(.initialWindowSize, 3)])
        client.send { $0.writeRequest(1) }
        client.answerFirst(Self.response)
        #expect(client.content(1) == "012")
        client.send { $0.writeWindowUpdate(stream: 1, by: 2) }
        #expect(client.content(1) == "01234")
        client.send { $0.writeSettings([(.initialWindowSize, 5)]) }
        #expect(client.content(1) == "0123456")
        // A client counts by its new windows from the acknowledgement on.
        #expect(client.frames.last?.kind == .data)
        #expect(client.acknowledgements.last == client.frames.count - 1)
        // Smaller than what was sent: the window is negative (RFC 9113 section 6.9.2).
        client.send { $0.writeSettings([(.initialWindowSize, 0)]) }
        client.send { $0.writeWindowUpdate(stream: 1, by: 5) }
        #expect(client.content(1) == "0123456")
        client.send { $0.writeWindowUpdate(stream: 1, by: 3) }
        #expect(client.content(1) == "0123456789")
        #expect(client.frames(.data).last?.has(Flag.endStream) == true)
        #expect(client.state.openStreams == 0)
    }

    @Test func `the window of the connection is shared`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(1)
            $0.writeRequest(3)
        }
        let large = "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 40_000)
        client.answerFirst(large)
        client.answerFirst(large)
        #expect(client.content(1).count + client.content(3).count == 65_535)
        client.send { $0.writeWindowUpdate(stream: 0, by: 100_000) }
        #expect(client.content(3).count == 40_000)
    }

    @Test func `a response that is not taken in time is given up, and the others are not`() {
        var client = TestClient(settings: [(.initialWindowSize, 0)])
        client.send { $0.writeRequest(1) }
        client.answerFirst(Self.response)
        client.pass(.seconds(9))
        #expect(client.streamError(1) == nil)
        client.send { $0.writeRequest(3) }
        client.answerFirst(Self.response)
        client.pass(.seconds(1))
        #expect(client.streamError(1) == .cancel)
        #expect(client.streamError(3) == nil)
        #expect(client.state.openStreams == 1)
    }

    // MARK: Limits

    @Test func `streams above the limit are refused, and may be sent again`() {
        var client = TestClient(streams: 2)
        client.send { for stream in [1, 3, 5, 7] as [UInt32] { $0.writeRequest(stream) } }
        #expect(client.requests.count == 2)
        #expect(client.streamError(5) == .refusedStream && client.streamError(7) == .refusedStream)
        client.answerFirst()
        client.send { $0.writeRequest(9) }
        #expect(client.requests.count == 2)
    }

    @Test(arguments: ["RST_STREAM", "WINDOW_UPDATE of 0", "DATA behind the end", "HEADERS behind the end"])
    func `whatever ends a stream, what is handled for it counts until it is answered`(_ means: String) {
        var client = TestClient(streams: 2)
        for stream in stride(from: 1 as UInt32, to: 99, by: 2) {
            client.send {
                $0.writeRequest(stream)
                switch means {
                case "RST_STREAM": $0.writeReset(stream: stream, .cancel)
                case "WINDOW_UPDATE of 0": $0.writeWindowUpdate(stream: stream, by: 0)
                case "DATA behind the end": $0.writeFrame(.data, stream: stream, [1])
                default: $0.writeRequest(stream, [("x", "y")])
                }
            }
        }
        #expect(client.requests.count == 2)
        client.answerFirst()
        #expect(client.frames(.headers).isEmpty)
        client.send { $0.writeRequest(99) }
        #expect(client.requests.count == 2)
    }

    @Test func `contents that have not come whole are bounded, and some of many get to their end`() {
        var client = TestClient(answers: true)
        let part = [UInt8](repeating: 0, count: 10_000)
        let streams = stride(from: 1 as UInt32, to: 200, by: 2)
        for round in 0..<2 {
            for stream in streams where client.streamError(stream) == nil {
                client.send {
                    if round == 0 { $0.writeRequest(stream, TestClient.post, ends: false) }
                    $0.writeFrame(.data, stream: stream, part)
                }
            }
        }
        #expect(client.state.unfinished <= (256 + 64) << 10)
        for stream in streams where client.streamError(stream) == nil {
            client.send { $0.writeFrame(.data, flags: Flag.endStream, stream: stream) }
        }
        let answered = client.frames(.headers).count
        let refused = Set(client.frames(.resetStream).map(\.stream)).count
        #expect(answered + refused == 100)
        #expect(answered >= 16)
        #expect(
            client.frames(.resetStream).allSatisfy { (try? $0.resetCode()) == HTTP2Error.Code.refusedStream.rawValue })
        #expect(client.state.unfinished == 0)
    }

    @Test func `heads of requests that are not whole are bounded, too`() {
        var client = TestClient()
        let fields = TestClient.post + [("x", String(repeating: "y", count: 12_000))]
        for stream in stride(from: 1 as UInt32, to: 200, by: 2) {
            client.send { $0.writeRequest(stream, fields, ends: false) }
        }
        #expect(client.state.openStreams < 30)
        #expect(client.streamError(199) == .refusedStream)
    }

    @Test func `whose connection has ended keeps nothing of it`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(1)
            $0.writeRequest(3, TestClient.post, ends: false)
            $0.writeFrame(.data, stream: 0, [1])
        }
        #expect(client.connectionError == .protocolError)
        #expect(client.state.openStreams == 0 && client.state.unfinished == 0)
        client.answerFirst()
        #expect(client.frames(.headers).isEmpty)
    }

    // MARK: Floods

    struct Flood: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let write: @Sendable (inout ByteBuffer, UInt32) -> Void

        init(_ description: String, _ write: @escaping @Sendable (inout ByteBuffer, UInt32) -> Void) {
            testDescription = description
            self.write = write
        }
    }

    private static let floods = [
        Flood("SETTINGS") { buffer, _ in buffer.writeSettings([]) },
        Flood("acknowledgements of SETTINGS") { buffer, _ in buffer.writeSettingsAcknowledgement() },
        Flood("PING") { buffer, _ in buffer.writePing(1, isAcknowledgement: false) },
        Flood("answers to PING") { buffer, _ in buffer.writePing(1, isAcknowledgement: true) },
        Flood("GOAWAY") { buffer, _ in buffer.writeGoAway(last: 0, .noError) },
        Flood("PRIORITY") { buffer, number in buffer.writeFrame(.priority, stream: 2 * number + 1, [0, 0, 0, 0, 1]) },
        Flood("WINDOW_UPDATE") { buffer, _ in buffer.writeWindowUpdate(stream: 0, by: 1) },
        Flood("unknown frames") { buffer, _ in buffer.writeMultipleIntegers(UInt32(0x16), UInt8(0), UInt32(0)) },
        Flood("rapid reset") { buffer, number in
            buffer.writeRequest(2 * number + 1)
            buffer.writeReset(stream: 2 * number + 1, .cancel)
        },
        Flood("resets by the gateway") { buffer, number in
            buffer.writeRequest(2 * number + 1)
            buffer.writeWindowUpdate(stream: 2 * number + 1, by: 0)
        },
        Flood("malformed requests") { buffer, number in buffer.writeRequest(2 * number + 1, []) },
        Flood("empty DATA") { buffer, number in
            if number == 0 { buffer.writeRequest(1, TestClient.post, ends: false) }
            buffer.writeFrame(.data, stream: 1)
        },
        Flood("DATA of a byte") { buffer, number in
            if number == 0 { buffer.writeRequest(1, TestClient.post, ends: false) }
            buffer.writeFrame(.data, stream: 1, [1])
        },
        Flood("DATA behind a reset") { buffer, number in
            if number == 0 {
                buffer.writeRequest(1, TestClient.post, ends: false)
                buffer.writeWindowUpdate(stream: 1, by: 0)
            }
            buffer.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 100))
        },
    ]

    @Test(arguments: floods)
    func `a flood ends the connection`(_ flood: Flood) {
        var client = TestClient()
        for number in 0..<1100 as Range<UInt32> where !client.isClosed {
            client.send { flood.write(&$0, number) }
        }
        #expect(client.connectionError == .enhanceYourCalm)
        #expect(client.state.isFlooded)
        #expect(client.requests.count <= 100)
    }

    @Test(arguments: floods)
    func `the same frames in a small number do not`(_ flood: Flood) {
        var client = TestClient()
        for number in 0..<3000 as Range<UInt32> {
            client.send { flood.write(&$0, number) }
            client.pass(.milliseconds(20))
            // Contents have a time limit.
            if client.requests.count > 0 { client.answerFirst() }
            if number > 400 && (flood.testDescription.contains("DATA")) { break }
        }
        #expect(client.connectionError == nil)
    }

    @Test func `requests earn what clients do beside them`() {
        var client = TestClient(answers: true)
        for number in 0..<20_000 as Range<UInt32> {
            client.send {
                $0.writeRequest(2 * number + 1)
                $0.writeWindowUpdate(stream: 0, by: 10)
                $0.writePing(1, isAcknowledgement: false)
            }
        }
        #expect(client.connectionError == nil)
        #expect(client.frames(.headers).count == 20_000)
    }

    @Test func `a header block in too many parts ends the connection`() {
        var client = TestClient()
        client.send { $0.writeFrame(.headers, flags: Flag.endStream, stream: 1) }
        for _ in 0..<40 { client.send { $0.writeFrame(.continuation, stream: 1) } }
        #expect(client.connectionError == .enhanceYourCalm)
    }

    @Test func `a few bytes that become many fields end the connection`() {
        var client = TestClient()
        // A field of nearly 4,096 bytes goes to the table, and is named again and again, a byte each.
        let large = TestClient.block([("x", String(repeating: "y", count: 4000))])
        client.send {
            $0.writeFrame(
                .headers, flags: Flag.endStream | Flag.endHeaders, stream: 1,
                [0x82, 0x86, 0x84, 0x01, 0x01, 0x61, 0x40] + large[1...] + [UInt8](repeating: 0xBE, count: 12_000))
        }
        #expect(client.connectionError == .enhanceYourCalm)
    }

    // MARK: Time

    @Test func `a client that does not begin, or does not go on, is let go`() {
        var silent = TestClient(starts: false)
        silent.pass(.seconds(5))
        #expect(silent.isClosed)

        var withinFrame = TestClient()
        withinFrame.send { $0.writeBytes([0, 0, 8]) }
        withinFrame.pass(.seconds(5))
        #expect(withinFrame.isClosed)

        var withinBlock = TestClient()
        withinBlock.send { $0.writeFrame(.headers, stream: 1, [0x82]) }
        withinBlock.pass(.seconds(3))
        withinBlock.send { $0.writeFrame(.continuation, stream: 1, [0x86]) }
        withinBlock.pass(.seconds(2))
        #expect(withinBlock.isClosed)

        var idle = TestClient()
        idle.pass(.seconds(74))
        #expect(!idle.isClosed)
        idle.pass(.seconds(1))
        #expect(idle.isClosed && idle.connectionError == .noError)
    }

    @Test func `nothing of a client's is late while it is not read`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeRequest(3)
        }
        var other = TestClient()
        other.send { $0.writeBytes([0, 0, 8]) }
        for _ in 0..<3 {
            client.pass(.seconds(9), isReading: false)
            client.state.readingResumes(now: client.now)
            other.pass(.seconds(4), isReading: false)
            other.state.readingResumes(now: other.now)
        }
        #expect(client.status(1) == nil && !other.isClosed)
        client.pass(.seconds(10))
        other.pass(.seconds(5))
        #expect(client.status(1) == 408 && other.isClosed)
    }

    @Test func `a content that does not come in time is refused, and the connection goes on`() {
        var client = TestClient()
        client.send { $0.writeRequest(1, TestClient.post, ends: false) }
        client.pass(.seconds(9))
        client.send {
            $0.writeFrame(.data, stream: 1, [UInt8](repeating: 0, count: 100))
            $0.writeRequest(3)
        }
        client.pass(.seconds(1))
        #expect(client.status(1) == 408)
        #expect(client.requests.count == 1 && !client.isClosed)
        client.pass(.seconds(200))
        #expect(!client.isClosed)
    }

    // MARK: The end

    @Test func `a connection that drains takes what is on its way`() {
        var client = TestClient()
        client.send { $0.writeRequest(1) }
        client.state.announceEnd(now: client.now)
        client.perform()
        #expect((try? client.frames(.goAway).last?.lastStream()) == 0x7FFF_FFFF)
        client.send { $0.writeRequest(3) }
        #expect(client.requests.count == 2)
        // The client has seen it.
        let ping = client.frames(.ping).last.flatMap { try? $0.pingData() }
        client.send { $0.writePing(ping ?? 0, isAcknowledgement: true) }
        #expect((try? client.frames(.goAway).last?.lastStream()) == 3)
        // It has not read that yet.
        client.send {
            $0.writeRequest(5, TestClient.post, ends: false)
            $0.writeFrame(.data, flags: Flag.endStream, stream: 5, [1])
            $0.writeWindowUpdate(stream: 5, by: 1)
            $0.writeReset(stream: 5, .cancel)
        }
        #expect(client.requests.count == 2)
        client.answerFirst()
        #expect(!client.isClosed)
        client.answerFirst()
        #expect(client.isClosed)
        #expect(client.frames(.headers).map(\.stream) == [1, 3])
    }

    @Test func `a connection that is to end does so between two requests, if it can`() {
        var client = TestClient()
        client.send { $0.writeRequest(1) }
        client.state.drain(until: .distantFuture, now: client.now)
        client.perform()
        #expect(client.frames(.goAway).isEmpty)
        client.send { $0.writeRequest(3) }
        client.answerFirst()
        #expect(client.frames(.goAway).isEmpty)
        client.answerFirst()
        #expect((try? client.frames(.goAway).last?.lastStream()) == 0x7FFF_FFFF)
        client.pass(.seconds(1))
        #expect((try? client.frames(.goAway).last?.lastStream()) == 3)
        #expect(client.isClosed)
    }

    @Test func `one whose client always waits for something is ended all the same`() {
        var client = TestClient()
        client.send { $0.writeRequest(1) }
        client.state.drain(until: client.now + .seconds(3), now: client.now)
        client.pass(.milliseconds(2900))
        #expect(client.frames(.goAway).isEmpty)
        client.pass(.milliseconds(100))
        #expect((try? client.frames(.goAway).last?.lastStream()) == 0x7FFF_FFFF)
    }

    @Test func `a client that does not say that it knows is given a second`() {
        var client = TestClient()
        client.state.drain(until: client.now + .seconds(3), now: client.now)
        client.perform()
        #expect((try? client.frames(.goAway).last?.lastStream()) == 0x7FFF_FFFF)
        client.pass(.milliseconds(900))
        #expect(!client.isClosed)
        client.pass(.milliseconds(100))
        #expect(client.isClosed)
    }

    @Test func `a new connection is good for a request while there is time`() {
        var client = TestClient(answers: true)
        client.state.drain(until: .distantFuture, now: client.now)
        client.perform()
        #expect(client.frames(.goAway).isEmpty)
        client.send { $0.writeRequest(1) }
        #expect(client.status(1) == 202)
        #expect(client.frames(.goAway).count == 1)
    }

    @Test func `a later limit does not put off the end`() {
        var client = TestClient()
        client.send { $0.writeRequest(1) }
        for _ in 0..<7 {
            client.state.drain(until: client.now + .seconds(3), now: client.now)
            client.pass(.milliseconds(500))
        }
        #expect(client.frames(.goAway).count == 1)
    }

    @Test func `a client that has closed its side cannot take the rest of a response`() {
        var client = TestClient(settings: [(.initialWindowSize, 3)])
        client.send { for stream in [1, 3] as [UInt32] { $0.writeRequest(stream) } }
        client.answerFirst(Self.response)
        client.state.inputClosed()
        client.perform()
        #expect(!client.isClosed)
        client.answerFirst(Self.response)
        #expect(client.isClosed)
    }

    @Test func `a client that closes its side gets its responses first`() {
        var client = TestClient()
        client.send {
            $0.writeRequest(1)
            $0.writeRequest(3, TestClient.post, ends: false)
        }
        client.state.inputClosed()
        client.perform()
        #expect(!client.isClosed)
        client.answerFirst()
        #expect(client.status(1) == 202)
        #expect(client.isClosed)
    }
}
