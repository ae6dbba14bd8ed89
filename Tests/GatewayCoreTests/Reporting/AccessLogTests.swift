import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import GatewayCore

@Suite struct AccessLogTests {
    private final class Pieces: Sendable {
        let all = Mutex<[LogBatch]>([])

        var lines: [Int] { all.withLock { $0.map(\.lines) } }
    }

    /// A log whose pieces are kept, at a time that stands.
    private struct Bed {
        let loop = EmbeddedEventLoop()
        let pieces = Pieces()
        let lines: LogLines
        let log: AccessLog

        init(seconds: Int = 1_795_497_192, nanoseconds: Int = 345_678_901) {
            lines = LogLines(
                callerNames: ["orders"], skillNames: ["weather", "na\"me"], eventLoop: loop,
                now: { UnixTimestamp(seconds: seconds, nanoseconds: nanoseconds) },
                sink: { [pieces] piece in pieces.all.withLock { $0.append(piece) } })
            log = AccessLog(lines)
        }

        var text: String {
            lines.flush()
            return pieces.all.withLock { $0.map { String(buffer: $0.text) }.joined() }
        }
    }

    @Test func `an accepted message is a line of JSON`() {
        let bed = Bed()
        let answer = Response(
            .upstream(UpstreamResponse(status: 202, requestID: .uuid(0x0d29_c856_00aa_11ef, 0x9262_0242_ac12_0002))),
            region: .europe)
        bed.log.finished(
            .init(caller: 0, skill: 1, region: .europe), answer, from: Peer(), sends: 1,
            duration: .microseconds(84_017))
        #expect(
            bed.text == #"{"time":"2026-11-24T05:13:12.345Z","caller":"orders","skill":"na\"me","region":"EU","#
                + #""protocol":"http/1.1","status":202,"source":"upstream","sends":1,"durationMilliseconds":84.017,"#
                + #""requestID":"0d29c856-00aa-11ef-9262-0242ac120002"}"# + "\n")
    }

    @Test func `a report of a message is a line that leads to its record`() {
        let bed = Bed()
        bed.log.acceptedPerLine = 2
        let scope = IdempotencyScope(words: (1, 2, 3, .max))
        for report in [DeliveryInstruments.Report.first, .first, .again] {
            bed.log.reported(report, of: scope, skill: 0, .made(connection: 1, request: 2), from: Peer())
        }
        let lines = bed.text.split(separator: "\n")
        #expect(
            lines.first ?? ""
                == #"{"time":"2026-11-24T05:13:12.345Z","skill":"weather","id":"000000000000000100000002","#
                + #""protocol":"http/1.1","receipt":"first","record":"000000000000000100000000000000020000000000000003ffffffffffffffff","#
                + #""address":"local","standsFor":2}"#)
        #expect(lines.count == 2 && lines[1].contains(#""receipt":"again""#) && !lines[1].contains("standsFor"))
    }

    @Test func `what is not settled is null, and a refusal names its problem`() {
        let bed = Bed(seconds: 951_782_400, nanoseconds: 0)
        let answer = Response(.refusal(Refusal(.notAuthenticated, "no")), region: nil)
        bed.log.finished(.init(), answer, from: Peer(), sends: 0, duration: .nanoseconds(999))
        #expect(
            bed.text == #"{"time":"2000-02-29T00:00:00.000Z","caller":null,"skill":null,"region":null,"#
                + #""protocol":"http/1.1","status":401,"source":"gateway","sends":0,"durationMilliseconds":0.000,"#
                + #""problem":"not-authenticated"}"# + "\n")
    }

    @Test func `a request identifier cannot end its string`() {
        let bed = Bed()
        let answer = Response(.upstream(UpstreamResponse(status: 202, requestID: .text(#"a"b\c"#))), region: .europe)
        bed.log.finished(.init(), answer, from: Peer(), sends: 1, duration: .zero)
        #expect(bed.text.hasSuffix(#""requestID":"a\"b\\c"}"# + "\n"))
    }

    @Test func `the second is written again when it changes`() {
        var writer = TimestampWriter()
        var buffer = ByteBuffer()
        for (seconds, nanoseconds) in [(0, 0), (0, 999_999_999), (59, 1_000_000), (60, 10_000_000)] {
            writer.write(UnixTimestamp(seconds: seconds, nanoseconds: nanoseconds), to: &buffer)
            buffer.writeString(" ")
        }
        #expect(
            String(buffer: buffer) == "1970-01-01T00:00:00.000Z 1970-01-01T00:00:00.999Z 1970-01-01T00:00:59.001Z "
                + "1970-01-01T00:01:00.010Z ")
    }

    @Test func `lines are handed on after a while, or when there are many`() {
        let bed = Bed()
        let answer = Response(.upstream(UpstreamResponse(status: 202)), region: .europe)
        func finish() { bed.log.finished(.init(), answer, from: Peer(), sends: 1, duration: .zero) }
        finish()
        #expect(bed.pieces.lines == [])
        bed.loop.advanceTime(by: .milliseconds(200))
        #expect(bed.pieces.lines == [1])
        for _ in 0..<1000 { finish() }
        #expect(bed.pieces.lines.count >= 3)
        bed.lines.flush()
        #expect(bed.pieces.lines.reduce(0, +) == 1001)
    }

    @Test func `refusals that are alike have two lines, however many they are`() throws {
        let bed = Bed()
        let id = ExchangeID.made(connection: 1, request: 2)
        let peer = Peer(address: try SocketAddress(ipAddress: "10.0.0.9", port: 1))
        for _ in 0..<1000 { bed.log.refused(.notFound, id, from: peer) }
        bed.log.refused(.requestMalformed, id, from: peer)
        bed.log.refused(.notFound, id, from: Peer())
        for _ in 0..<3 {
            let answer = Response(.refusal(Refusal(.messageInvalid, "no")), region: nil)
            bed.log.finished(.init(caller: 0), answer, from: peer, sends: 0, duration: .zero)
        }
        #expect(bed.text.split(separator: "\n").count == 4)
        let first = bed.text.split(separator: "\n")[0]
        #expect(first.contains(#","id":"000000000000000100000002","protocol":"http/1.1","status":404,"#))
        bed.loop.advanceTime(by: .seconds(10))
        let lines = bed.text.split(separator: "\n").dropFirst(4).map { String($0.dropFirst(35)) }
        #expect(
            lines.sorted() == [
                #""caller":"orders","skill":null,"region":null,"status":400,"source":"gateway","#
                    + #""problem":"message-invalid","address":"10.0.0.9","more":2}"#,
                #""status":404,"source":"gateway","problem":"not-found","address":"10.0.0.9","more":999}"#,
            ])
        // A new window.
        bed.log.refused(.notFound, id, from: peer)
        #expect(bed.text.split(separator: "\n").count == 7)
    }

    @Test func `what failed on the gateway's side has a line each`() {
        let bed = Bed()
        let answer = Response(.refusal(Refusal(.tokenUnavailable, "no")), region: nil)
        for _ in 0..<5 { bed.log.finished(.init(caller: 0), answer, from: Peer(), sends: 0, duration: .zero) }
        #expect(bed.text.split(separator: "\n").count == 5)
    }
}
