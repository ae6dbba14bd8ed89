import NIOCore
import TestSupport
import Testing

@testable import GatewayCore

@Suite struct HTTP2FrameReaderTests {
    @Test func `frames come out as they went in, however they are cut`() throws {
        var generator = SeededGenerator(seed: 11)
        var bytes = ByteBuffer()
        for number in 0..<200 as Range<UInt32> {
            let length = Int.random(in: 0...300, using: &generator)
            bytes.writeFrameHead(.data, flags: UInt8(number % 2), stream: number, length: length)
            bytes.writeRepeatingByte(UInt8(number), count: length)
        }
        var reader = HTTP2FrameReader()
        var read: UInt32 = 0
        while bytes.readableBytes > 0 {
            let length = min(bytes.readableBytes, Int.random(in: 1...500, using: &generator))
            reader.receive(bytes.readSlice(length: length) ?? ByteBuffer())
            while let frame = try reader.next() {
                #expect(
                    frame.kind == .data && frame.stream == read
                        && frame.has(HTTP2Frame.Flag.endStream) == (read % 2 == 1))
                #expect(frame.payload.readableBytesView.allSatisfy { $0 == UInt8(read) })
                read += 1
            }
        }
        #expect(read == 200)
    }

    @Test func `what has been read is let go, though each piece ends within a frame`() throws {
        var frame = ByteBuffer()
        frame.writeFrameHead(.data, stream: 1, length: 16_000)
        frame.writeRepeatingByte(0, count: 16_000)
        var reader = HTTP2FrameReader()
        reader.receive(frame.getSlice(at: 0, length: 5) ?? ByteBuffer())
        var largest = 0
        for _ in 0..<100 {
            var piece = frame.getSlice(at: 5, length: frame.readableBytes - 5) ?? ByteBuffer()
            piece.writeImmutableBuffer(frame.getSlice(at: 0, length: 5) ?? ByteBuffer())
            reader.receive(piece)
            while let frame = try reader.next() { largest = max(largest, frame.payload.storageCapacity) }
        }
        #expect(largest > 0 && largest < 100_000, "\(largest)")
    }

    @Test func `a frame that is too large is refused by its head alone`() {
        var head = ByteBuffer()
        head.writeFrameHead(.data, stream: 1, length: HTTP2FrameReader.payloadLimit + 1)
        var reader = HTTP2FrameReader()
        reader.receive(head)
        let error = #expect(throws: HTTP2Error.self) { _ = try reader.next() }
        #expect(error?.code == .frameSizeError)
    }
}

@Suite struct HeaderFrameTests {
    @Test(arguments: [0, 1, 16_384, 16_385, 40_000])
    func `a header block that is too long for a frame goes on in others`(_ bytes: Int) throws {
        var output = ByteBuffer(string: "before")
        let start = output.startHeaders()
        let block = (0..<bytes).map { UInt8(truncatingIfNeeded: $0) }
        output.writeBytes(block)
        output.endHeaders(at: start, stream: 7, endsStream: true)
        output.moveReaderIndex(forwardBy: "before".utf8.count)
        var reader = HTTP2FrameReader()
        reader.receive(output)
        var whole: [UInt8] = []
        var frames: [HTTP2Frame] = []
        while let frame = try reader.next() {
            whole += frame.payload.readableBytesView
            frames.append(frame)
        }
        #expect(whole == block)
        #expect(frames.map(\.kind) == [.headers] + frames.dropFirst().map { _ in .continuation })
        #expect(frames.allSatisfy { $0.stream == 7 })
        #expect(frames.map { $0.has(HTTP2Frame.Flag.endHeaders) } == frames.indices.map { $0 == frames.count - 1 })
        #expect(frames.first?.has(HTTP2Frame.Flag.endStream) == true)
    }
}
