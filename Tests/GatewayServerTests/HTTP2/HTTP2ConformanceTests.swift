import GatewayCore
import NIOCore
import Testing

@testable import GatewayServer

/// What a client may send, and what it may not, section by section of RFC 9113 and RFC 7541. The cases are those of h2spec, and some more.
@Suite struct HTTP2ConformanceTests {
    enum Expected: Equatable, Sendable {
        /// So many requests are answered, and nothing is wrong.
        case answers(Int)
        /// The connection ends.
        case connection(HTTP2Error.Code)
        /// Stream 1 ends, and the connection goes on.
        case stream(HTTP2Error.Code)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let expected: Expected
        /// Responses that an error of a stream comes behind.
        var answersBefore = 0
        let send: @Sendable (inout ByteBuffer) -> Void

        init(
            _ description: String, _ expected: Expected, answersBefore: Int = 0,
            _ send: @escaping @Sendable (inout ByteBuffer) -> Void
        ) {
            self.answersBefore = answersBefore
            testDescription = description
            self.expected = expected
            self.send = send
        }
    }

    @Test(arguments: framing + streams + frames + windows + messages + compression)
    func `what a client sends is taken, or refused as the RFC has it`(_ example: Case) {
        // All at once, and byte by byte.
        for isWhole in [true, false] {
            var client = TestClient(answers: true)
            var bytes = ByteBuffer()
            example.send(&bytes)
            if isWhole {
                client.send { $0.writeImmutableBuffer(bytes) }
            } else {
                for byte in bytes.readableBytesView { client.send { $0.writeInteger(byte) } }
            }
            // A connection that goes on answers.
            client.send { $0.writePing(7, isAcknowledgement: false) }
            let isAlive = client.frames(.ping).contains { $0.has(HTTP2Frame.Flag.acknowledgement) }
            switch example.expected {
            case .answers(let count):
                #expect(isAlive && client.connectionError == nil)
                #expect(client.frames(.headers).count == count)
                #expect(client.frames(.resetStream).isEmpty)
            case .connection(let code):
                #expect(!isAlive && client.isClosed)
                #expect(client.connectionError == code)
            case .stream(let code):
                #expect(isAlive && client.connectionError == nil)
                #expect(client.streamError(1) == code)
                #expect(client.frames(.headers).count == example.answersBefore)
            }
        }
    }

    private typealias Flag = HTTP2Frame.Flag

    // MARK: Sections 4 and 5.5

    private static let framing: [Case] = [
        Case("4.1: a frame of an unknown kind is ignored", .answers(1)) {
            $0.writeInteger(UInt32(3) << 8 | 0x16)
            $0.writeMultipleIntegers(UInt8(0), UInt32(0))
            $0.writeBytes([1, 2, 3])
            $0.writeRequest(1)
        },
        Case("4.1: unknown flags are ignored", .answers(1)) {
            $0.writeFrame(.ping, flags: 0x16, stream: 0, [0, 0, 0, 0, 0, 0, 0, 9])
            $0.writeRequest(1)
        },
        Case("4.1: the reserved bit is ignored", .answers(1)) {
            $0.writeFrame(.ping, stream: 0x8000_0000, [0, 0, 0, 0, 0, 0, 0, 9])
            $0.writeRequest(1)
        },
        Case("4.2: a frame of 16,384 bytes is taken", .answers(1)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, flags: Flag.endStream, stream: 1, [UInt8](repeating: 0, count: 16_384))
        },
        Case("4.2: a larger frame is not", .connection(.frameSizeError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, flags: Flag.endStream, stream: 1, [UInt8](repeating: 0, count: 16_385))
        },
        Case("4.3: another frame within a header block", .connection(.protocolError)) {
            $0.writeFrame(.headers, flags: Flag.endStream, stream: 1, TestClient.block(TestClient.get))
            $0.writeFrame(.priority, stream: 1, [0, 0, 0, 0, 1])
        },
        Case("4.3: a header block of another stream within one", .connection(.protocolError)) {
            $0.writeFrame(.headers, flags: Flag.endStream, stream: 1, TestClient.block(TestClient.get))
            $0.writeRequest(3)
        },
        Case("5.5: an unknown frame within a header block", .connection(.protocolError)) {
            $0.writeFrame(.headers, flags: Flag.endStream, stream: 1, TestClient.block(TestClient.get))
            $0.writeInteger(UInt32(0x16))
            $0.writeMultipleIntegers(UInt8(0), UInt32(0))
        },
        Case("5.4.1: GOAWAY from the client leaves the connection as it is", .answers(1)) {
            $0.writeGoAway(last: 0, .noError)
            $0.writeRequest(1)
        },
    ]

    // MARK: Section 5

    private static let streams: [Case] = [
        Case("5.1: DATA for an idle stream", .connection(.protocolError)) { $0.writeFrame(.data, stream: 1, [1]) },
        Case("5.1: RST_STREAM for an idle stream", .connection(.protocolError)) { $0.writeReset(stream: 1, .cancel) },
        Case("5.1: WINDOW_UPDATE for an idle stream", .connection(.protocolError)) {
            $0.writeWindowUpdate(stream: 1, by: 100)
        },
        Case("5.1: CONTINUATION for an idle stream", .connection(.protocolError)) {
            $0.writeFrame(.continuation, flags: Flag.endHeaders, stream: 1, TestClient.block(TestClient.get))
        },
        Case("5.1: PRIORITY for an idle stream is ignored", .answers(1)) {
            $0.writeFrame(.priority, stream: 1, [0, 0, 0, 0, 1])
            $0.writeRequest(1)
        },
        Case("5.1: DATA behind the end, once it is answered", .stream(.streamClosed), answersBefore: 1) {
            $0.writeRequest(1)
            $0.writeFrame(.data, stream: 1, [1])
        },
        Case("5.1: HEADERS behind the end, once it is answered", .connection(.streamClosed)) {
            $0.writeRequest(1)
            $0.writeRequest(1)
        },
        Case("5.1: CONTINUATION behind the end", .connection(.protocolError)) {
            $0.writeRequest(1)
            $0.writeFrame(.continuation, flags: Flag.endHeaders, stream: 1, TestClient.block(TestClient.get))
        },
        Case("5.1: DATA behind RST_STREAM", .stream(.streamClosed)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeReset(stream: 1, .cancel)
            $0.writeFrame(.data, stream: 1, [1])
        },
        Case("5.1: HEADERS behind RST_STREAM", .stream(.streamClosed)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeReset(stream: 1, .cancel)
            $0.writeRequest(1)
        },
        Case("5.1: WINDOW_UPDATE, RST_STREAM and PRIORITY behind the end are ignored", .answers(1)) {
            $0.writeRequest(1)
            $0.writeWindowUpdate(stream: 1, by: 100)
            $0.writeReset(stream: 1, .noError)
            $0.writeFrame(.priority, stream: 1, [0, 0, 0, 0, 1])
        },
        Case("5.1.1: a stream with an even number", .connection(.protocolError)) { $0.writeRequest(2) },
        Case("5.1.1: a stream with a lower number than an earlier one", .connection(.protocolError)) {
            $0.writeRequest(5)
            $0.writeRequest(3)
        },
        Case("5.1.1: numbers may be left out", .answers(2)) {
            $0.writeRequest(5)
            $0.writeRequest(9)
        },
        Case("5.3.1: HEADERS that depend on themselves", .connection(.protocolError)) {
            $0.writeFrame(
                .headers, flags: Flag.endStream | Flag.endHeaders | Flag.priority, stream: 1,
                [0, 0, 0, 1, 1] + TestClient.block(TestClient.get))
        },
        Case("5.3.1: PRIORITY that depends on itself", .connection(.protocolError)) {
            $0.writeFrame(.priority, stream: 1, [0, 0, 0, 1, 1])
        },
    ]

    // MARK: Section 6

    private static let frames: [Case] = [
        Case("6.1: DATA, with padding and without, in many frames", .answers(1)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, stream: 1, [UInt8](repeating: 1, count: 100))
            $0.writeFrame(.data, flags: Flag.padded, stream: 1, [3, 1, 2, 0, 0, 0])
            $0.writeFrame(.data, flags: Flag.endStream, stream: 1)
        },
        Case("6.1: DATA for stream 0", .connection(.protocolError)) { $0.writeFrame(.data, stream: 0, [1]) },
        Case("6.1: more padding than content", .connection(.protocolError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, flags: Flag.padded | Flag.endStream, stream: 1, [6, 1, 2, 3, 4, 5])
        },
        Case("6.2: HEADERS with padding", .answers(1)) { $0.writeRequest(1, padding: 6) },
        Case("6.2: HEADERS with a priority", .answers(1)) {
            $0.writeFrame(
                .headers, flags: Flag.endStream | Flag.endHeaders | Flag.priority, stream: 1,
                [0, 0, 0, 0, 1] + TestClient.block(TestClient.get))
        },
        Case("6.2: HEADERS for stream 0", .connection(.protocolError)) { $0.writeRequest(0) },
        Case("6.2: HEADERS with more padding than content", .connection(.protocolError)) {
            $0.writeFrame(.headers, flags: Flag.endHeaders | Flag.padded, stream: 1, [9, 0x82])
        },
        Case("6.3: PRIORITY for stream 0", .connection(.protocolError)) {
            $0.writeFrame(.priority, stream: 0, [0, 0, 0, 0, 1])
        },
        Case("6.3: PRIORITY of another length", .connection(.frameSizeError)) {
            $0.writeFrame(.priority, stream: 1, [0, 0, 0, 0])
        },
        Case("6.4: RST_STREAM for stream 0", .connection(.protocolError)) { $0.writeReset(stream: 0, .cancel) },
        Case("6.4: RST_STREAM of another length", .connection(.frameSizeError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.resetStream, stream: 1, [0, 0, 0])
        },
        Case("6.5: SETTINGS with an acknowledgement and content", .connection(.frameSizeError)) {
            $0.writeFrame(.settings, flags: Flag.acknowledgement, stream: 0, [0, 1, 0, 0, 0, 1])
        },
        Case("6.5: SETTINGS for a stream", .connection(.protocolError)) {
            $0.writeFrame(.settings, stream: 1, [0, 3, 0, 0, 0, 1])
        },
        Case("6.5: SETTINGS of another length", .connection(.frameSizeError)) {
            $0.writeFrame(.settings, stream: 0, [0, 3, 0])
        },
        Case("6.5.2: SETTINGS_ENABLE_PUSH is 2", .connection(.protocolError)) { $0.writeSettings([(.enablePush, 2)]) },
        Case("6.5.2: SETTINGS_INITIAL_WINDOW_SIZE is too large", .connection(.flowControlError)) {
            $0.writeSettings([(.initialWindowSize, 0x8000_0000)])
        },
        Case("6.5.2: SETTINGS_MAX_FRAME_SIZE is too small", .connection(.protocolError)) {
            $0.writeSettings([(.maximumFrameSize, 16_383)])
        },
        Case("6.5.2: SETTINGS_MAX_FRAME_SIZE is too large", .connection(.protocolError)) {
            $0.writeSettings([(.maximumFrameSize, 16_777_216)])
        },
        Case("6.5.2: an unknown setting is ignored", .answers(1)) {
            $0.writeFrame(.settings, stream: 0, [0, 0xFF, 0, 0, 0, 1])
            $0.writeRequest(1)
        },
        Case("6.7: PING for a stream", .connection(.protocolError)) {
            $0.writeFrame(.ping, stream: 1, [0, 0, 0, 0, 0, 0, 0, 1])
        },
        Case("6.7: PING of another length", .connection(.frameSizeError)) { $0.writeFrame(.ping, stream: 0, [1, 2]) },
        Case("6.8: GOAWAY for a stream", .connection(.protocolError)) {
            $0.writeFrame(.goAway, stream: 1, [0, 0, 0, 0, 0, 0, 0, 0])
        },
        Case("6.8: GOAWAY that is too short", .connection(.frameSizeError)) {
            $0.writeFrame(.goAway, stream: 0, [0, 0, 0, 0])
        },
        Case("6.10: a header block in three parts", .answers(1)) {
            let block = TestClient.block(TestClient.get)
            $0.writeFrame(.headers, flags: Flag.endStream, stream: 1, Array(block[..<5]))
            $0.writeFrame(.continuation, stream: 1, Array(block[5..<6]))
            $0.writeFrame(.continuation, flags: Flag.endHeaders, stream: 1, Array(block[6...]))
        },
        Case("6.10: CONTINUATION for stream 0", .connection(.protocolError)) {
            $0.writeFrame(.headers, flags: Flag.endStream, stream: 1, TestClient.block(TestClient.get))
            $0.writeFrame(.continuation, flags: Flag.endHeaders, stream: 0)
        },
        Case("6.10: CONTINUATION behind the end of a header block", .connection(.protocolError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.continuation, flags: Flag.endHeaders, stream: 1)
        },
        Case("6.10: CONTINUATION behind DATA", .connection(.protocolError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, stream: 1, [1])
            $0.writeFrame(.continuation, flags: Flag.endHeaders, stream: 1)
        },
        Case("7: an unknown error code of RST_STREAM", .answers(1)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.resetStream, stream: 1, [0, 0, 0, 0xFF])
            $0.writeRequest(3)
        },
        Case("8.4: PUSH_PROMISE from a client", .connection(.protocolError)) {
            $0.writeFrame(
                .pushPromise, flags: Flag.endHeaders, stream: 1, [0, 0, 0, 2] + TestClient.block(TestClient.get))
        },
    ]

    // MARK: Section 6.9

    private static let windows: [Case] = [
        Case("6.9: WINDOW_UPDATE for the connection and for a stream", .answers(1)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeWindowUpdate(stream: 0, by: 100)
            $0.writeWindowUpdate(stream: 1, by: 100)
            $0.writeFrame(.data, flags: Flag.endStream, stream: 1)
        },
        Case("6.9: an increment of 0 for the connection", .connection(.protocolError)) {
            $0.writeWindowUpdate(stream: 0, by: 0)
        },
        Case("6.9: an increment of 0 for a stream", .stream(.protocolError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeWindowUpdate(stream: 1, by: 0)
        },
        Case("6.9: WINDOW_UPDATE of another length", .connection(.frameSizeError)) {
            $0.writeFrame(.windowUpdate, stream: 0, [0, 0, 1])
        },
        Case("6.9.1: the window of the connection is too large", .connection(.flowControlError)) {
            for _ in 0..<2 { $0.writeWindowUpdate(stream: 0, by: 0x7FFF_FFFF) }
        },
        Case("6.9.1: the window of a stream is too large", .stream(.flowControlError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            for _ in 0..<2 { $0.writeWindowUpdate(stream: 1, by: 0x7FFF_FFFF) }
        },
    ]

    // MARK: Section 8

    private static func malformed(_ what: String, _ fields: [(String, String)]) -> Case {
        Case("8: \(what)", .stream(.protocolError)) { $0.writeRequest(1, fields) }
    }

    private static let messages: [Case] = [
        Case("8.1: trailers", .answers(1)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeFrame(.data, stream: 1, [1])
            $0.writeRequest(1, [("x-test", "ok")])
        },
        Case("8.1: a second HEADERS that does not end the stream", .stream(.protocolError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeRequest(1, [("x-test", "ok")], ends: false)
        },
        Case("8.1: a pseudo-header field in trailers", .stream(.protocolError)) {
            $0.writeRequest(1, TestClient.post, ends: false)
            $0.writeRequest(1, [(":path", "/")])
        },
        Case("8.1.1: more content than its length says", .stream(.protocolError)) {
            $0.writeRequest(1, TestClient.post + [("content-length", "1")], ends: false)
            $0.writeFrame(.data, flags: Flag.endStream, stream: 1, [1, 2])
        },
        Case("8.1.1: less content than its length says", .stream(.protocolError)) {
            $0.writeRequest(1, TestClient.post + [("content-length", "3")], ends: false)
            $0.writeFrame(.data, stream: 1, [1])
            $0.writeFrame(.data, flags: Flag.endStream, stream: 1, [2])
        },
        Case("8.1.1: no content though its length says so", .stream(.protocolError)) {
            $0.writeRequest(1, TestClient.post + [("content-length", "1")])
        },
        malformed("a name in upper case", TestClient.get + [("X-TEST", "ok")]),
        malformed("a name with a space", TestClient.get + [("x test", "ok")]),
        malformed("an empty name", TestClient.get + [("", "ok")]),
        malformed("a line end in a value", TestClient.get + [("x-test", "a\r\nhost: b")]),
        malformed("a zero in a value", TestClient.get + [("x-test", "a\0b")]),
        malformed("a space before a value", TestClient.get + [("x-test", " a")]),
        malformed(
            "a line end in the path", [(":path", "/ HTTP/1.1\r\nx: y")] + TestClient.get.filter { $0.0 != ":path" }),
        malformed("an unknown pseudo-header field", TestClient.get + [(":test", "ok")]),
        malformed("a pseudo-header field of responses", TestClient.get + [(":status", "200")]),
        malformed("a pseudo-header field behind another field", [("x-test", "ok")] + TestClient.get),
        malformed("`connection`", TestClient.get + [("connection", "keep-alive")]),
        malformed("`keep-alive`", TestClient.get + [("keep-alive", "1")]),
        malformed("`proxy-connection`", TestClient.get + [("proxy-connection", "close")]),
        malformed("`transfer-encoding`", TestClient.get + [("transfer-encoding", "chunked")]),
        malformed("`upgrade`", TestClient.get + [("upgrade", "h2c")]),
        malformed("`te` with anything but `trailers`", TestClient.get + [("te", "gzip")]),
        malformed("an empty `:path`", [(":path", "")] + TestClient.get.filter { $0.0 != ":path" }),
        malformed("no `:path`", TestClient.get.filter { $0.0 != ":path" }),
        malformed("no `:method`", TestClient.get.filter { $0.0 != ":method" }),
        malformed("no `:scheme`", TestClient.get.filter { $0.0 != ":scheme" }),
        malformed("two `:path`", TestClient.get + [(":path", "/")]),
        malformed("two `:method`", TestClient.get + [(":method", "GET")]),
        malformed("two `:scheme`", TestClient.get + [(":scheme", "http")]),
        malformed("a method with a space", [(":method", "GET /x")] + TestClient.get.filter { $0.0 != ":method" }),
        malformed("a path in absolute form", [(":path", "http://x/")] + TestClient.get.filter { $0.0 != ":path" }),
        malformed("`host` is another than `:authority`", TestClient.get + [("host", "elsewhere")]),
        Case("8: `te: trailers`, and `host` beside `:authority`", .answers(1)) {
            $0.writeRequest(1, TestClient.get + [("te", "trailers"), ("host", "localhost")])
        },
        Case("8: `host` in place of `:authority`", .answers(1)) {
            $0.writeRequest(1, TestClient.get.filter { $0.0 != ":authority" } + [("host", "localhost")])
        },
    ]

    // MARK: RFC 7541

    private static func block(_ what: String, _ expected: Expected, _ block: [UInt8]) -> Case {
        Case("RFC 7541: \(what)", expected) {
            $0.writeFrame(.headers, flags: Flag.endStream | Flag.endHeaders, stream: 1, block)
        }
    }

    /// `GET`, `http`, `/` by their indices, and an authority.
    private static let indexed: [UInt8] = [0x82, 0x86, 0x84, 0x01, 0x01, 0x61]

    private static let compression: [Case] = [
        block("2.3.3: indices and a literal", .answers(1), indexed),
        block(
            "6.2: literals with indexing, and never with it", .answers(1),
            indexed + [0x40, 1, 0x62, 1, 0x63, 0x10, 1, 0x64, 1, 0x65]),
        block("2.3.3: an entry of the table before", .answers(1), indexed + [0x40, 1, 0x62, 1, 0x63, 0xBE]),
        block(
            "5.2: a string in the Huffman code", .answers(1),
            [0x82, 0x86, 0x84, 0x41, 0x8C, 0xF1, 0xE3, 0xC2, 0xE5, 0xF2, 0x3A, 0x6B, 0xA0, 0xAB, 0x90, 0xF4, 0xFF]),
        block("6.3: the size of the table", .answers(1), [0x20, 0x3F, 0xE1, 0x1F] + indexed),
        block("2.3.3: an index beyond the tables", .connection(.compressionError), indexed + [0xC6]),
        block("2.3.3: a name beyond the tables", .connection(.compressionError), indexed + [0x7E, 0x01, 0x61]),
        block("4.2: the size of the table behind a field", .connection(.compressionError), indexed + [0x20]),
        block(
            "5.2: eight bits of padding", .connection(.compressionError),
            indexed + [0x00, 0x01, 0x61, 0x82, 0x1F, 0xFF]),
        block("5.2: padding with zeros", .connection(.compressionError), indexed + [0x00, 0x01, 0x61, 0x81, 0x18]),
        block(
            "5.2: the end of the string within it", .connection(.compressionError),
            indexed + [0x00, 0x01, 0x61, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]),
        block("6.1: index 0", .connection(.compressionError), indexed + [0x80]),
        block("6.3: a larger table than is offered", .connection(.compressionError), [0x3F, 0xE2, 0x1F] + indexed),
        block("a block that ends within a field", .connection(.compressionError), indexed + [0x00, 0x05, 0x61]),
    ]
}
