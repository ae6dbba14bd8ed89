import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import Testing
import TransportSecurity

@Suite struct SocketWriterTests {
    private static let group = MultiThreadedEventLoopGroup.singleton

    /// Compares what arrives with `byte(at:)`.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private var position = 0
        private let expected: Int
        private let isEqual: EventLoopPromise<Bool>

        /// - Parameter isEqual: succeeds when so many bytes have come, or another one than expected.
        init(expecting expected: Int, _ isEqual: EventLoopPromise<Bool>) {
            self.expected = expected
            self.isEqual = isEqual
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            for byte in unwrapInboundIn(data).readableBytesView {
                guard byte == SocketWriterTests.byte(at: position) else { return isEqual.succeed(false) }
                position += 1
            }
            if position >= expected { isEqual.succeed(position == expected) }
        }

        func channelInactive(context: ChannelHandlerContext) { isEqual.succeed(false) }
    }

    private static func byte(at position: Int) -> UInt8 { UInt8(truncatingIfNeeded: position ^ position >> 8) }

    private static func buffer(_ range: Range<Int>) -> ByteBuffer { ByteBuffer(bytes: range.map(byte(at:))) }

    /// Two ends of one connection: one that writes, and one that reads nothing before it is told to.
    private static func connection(
        expecting bytes: Int
    ) async throws -> (writer: any Channel, reader: any Channel, isEqual: EventLoopFuture<Bool>) {
        let isEqual = group.next().makePromise(of: Bool.self)
        let accepted = group.next().makePromise(of: (any Channel).self)
        let listener = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                accepted.succeed(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Reader(expecting: bytes, isEqual))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let writer = try await ClientBootstrap(group: group)
            .connect(to: try #require(listener.localAddress)).get()
        let reader = try await accepted.futureResult.get()
        try await listener.close().get()
        return (writer, reader, isEqual.futureResult)
    }

    @Test func `a socket that is full gets every byte in order`() async throws {
        let (pieces, pieceBytes) = (500, 20_000)
        let (writer, reader, isEqual) = try await Self.connection(expecting: pieces * pieceBytes)
        try await writer.eventLoop.submit {
            let handler = SocketWriteHandler()
            try writer.pipeline.syncOperations.addHandler(handler)
            let context = try writer.pipeline.syncOperations.context(handler: handler)
            let socket = SocketWriter(writer)
            for piece in 0..<pieces {
                socket.writeAndFlush(Self.buffer(piece * pieceBytes..<(piece + 1) * pieceBytes), in: context)
            }
        }.get()
        #expect(!writer.isWritable, "everything was written, though nobody reads")
        try await reader.setOption(.autoRead, value: true).get()
        #expect(try await isEqual.get())
        try await writer.close().get()
    }

    @Test func `what a pipeline writes keeps its order, flushed one by one or together`() async throws {
        let (pieces, pieceBytes) = (500, 20_000)
        let (writer, reader, isEqual) = try await Self.connection(expecting: pieces * pieceBytes)
        let lastIsWritten = writer.eventLoop.makePromise(of: Void.self)
        try await writer.eventLoop.submit {
            let pipeline = writer.pipeline.syncOperations
            try pipeline.addHandler(SocketWriteHandler())
            for piece in 0..<pieces {
                let buffer = Self.buffer(piece * pieceBytes..<(piece + 1) * pieceBytes)
                pipeline.write(NIOAny(buffer), promise: piece == pieces - 1 ? lastIsWritten : nil)
                if piece % 3 > 0 || piece == pieces - 1 { pipeline.flush() }
            }
        }.get()
        #expect(!writer.isWritable, "everything was written, though nobody reads")
        try await reader.setOption(.autoRead, value: true).get()
        #expect(try await isEqual.get())
        try await lastIsWritten.futureResult.get()
        try await writer.close().get()
    }

    @Test func `writing to a peer that is gone ends the connection`() async throws {
        let (writer, reader, _) = try await Self.connection(expecting: 1)
        // So that nothing but writing finds it out.
        try await writer.setOption(.autoRead, value: false).get()
        try await #require(reader as? any SocketOptionProvider).setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        try await reader.close().get()
        try await writer.eventLoop.submit {
            try writer.pipeline.syncOperations.addHandler(SocketWriteHandler())
            @Sendable func writeOn() {
                guard writer.isActive else { return }
                writer.writeAndFlush(Self.buffer(0..<10), promise: nil)
                writer.eventLoop.execute { writeOn() }
            }
            writeOn()
        }.get()
        try await writer.closeFuture.get()
    }

    /// Counts what is written to NIO.
    private final class Counter: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        private(set) var writes = 0

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            writes += 1
            context.write(data, promise: promise)
        }
    }

    @Test func `what the socket takes does not reach NIO`() async throws {
        let (writer, reader, isEqual) = try await Self.connection(expecting: 3_000)
        let writes = try await writer.eventLoop.submit {
            let (pipeline, counter) = (writer.pipeline.syncOperations, Counter())
            try pipeline.addHandlers([counter, SocketWriteHandler()])
            for piece in 0..<3 {
                pipeline.writeAndFlush(NIOAny(Self.buffer(piece * 1_000..<(piece + 1) * 1_000)), promise: nil)
            }
            return counter.writes
        }.get()
        #expect(writes == 0)
        try await reader.setOption(.autoRead, value: true).get()
        #expect(try await isEqual.get())
        try await writer.close().get()
    }

    @Test func `a socket that is full and has room in turns gets every byte in order`() async throws {
        let (rounds, pieces, pieceBytes) = (12, 40, 20_000)
        let (writer, reader, isEqual) = try await Self.connection(expecting: rounds * pieces * pieceBytes)
        try await reader.setOption(.autoRead, value: true).get()
        let handler = NIOLoopBoundBox.makeBoxSendingValue(SocketWriteHandler(), eventLoop: writer.eventLoop)
        try await writer.eventLoop.submit { try writer.pipeline.syncOperations.addHandler(handler.value) }.get()
        for round in 0..<rounds {
            let isWritten = writer.eventLoop.makePromise(of: Void.self)
            try await writer.eventLoop.submit {
                let pipeline = writer.pipeline.syncOperations
                for piece in round * pieces..<(round + 1) * pieces {
                    let isLast = piece == (round + 1) * pieces - 1
                    let buffer = Self.buffer(piece * pieceBytes..<(piece + 1) * pieceBytes)
                    // Every other round goes on before NIO has written what it has.
                    pipeline.writeAndFlush(NIOAny(buffer), promise: isLast && round % 2 == 0 ? isWritten : nil)
                }
            }.get()
            if round % 2 == 0 { try await isWritten.futureResult.get() } else { isWritten.succeed() }
        }
        #expect(try await isEqual.get())
        try await writer.close().get()
    }

    @Test func `without a socket, everything goes on`() throws {
        let channel = EmbeddedChannel(handler: SocketWriteHandler())
        channel.write(ByteBuffer(string: "a"), promise: nil)
        channel.write(ByteBuffer(string: "b"), promise: nil)
        channel.flush()
        try channel.writeAndFlush(ByteBuffer(string: "c")).wait()
        let written = (0..<3).map { _ in (try? channel.readOutbound(as: ByteBuffer.self)).map { String(buffer: $0) } }
        #expect(written == ["a", "b", "c"])
    }
}
