import Foundation
import NIOCore
import NIOPosix

/// A connection to the gateway that sends what it is told, right or wrong, and reads answers by their framing.
enum RawConnection {
    struct Answer: Sendable {
        var status: Int
        var head: String
        var content: String

        func field(_ name: String) -> String? {
            for line in head.components(separatedBy: "\r\n").dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.first?.lowercased() == name.lowercased(), parts.count == 2 {
                    return parts[1].trimmingCharacters(in: .whitespaces)
                }
            }
            return nil
        }
    }

    /// Connects, runs `body` and closes.
    static func with<Result: Sendable>(
        port: Int, _ body: @Sendable @escaping (inout Exchange) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var exchange = Exchange(inbound: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&exchange)
        }
    }

    struct Exchange {
        fileprivate var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
        fileprivate let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        private var buffer = ""

        fileprivate init(
            inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
            outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        ) {
            self.inbound = inbound
            self.outbound = outbound
        }

        func send(_ text: String) async throws {
            try await outbound.write(ByteBuffer(string: text))
        }

        /// The next answer, or nil if the gateway closed the connection instead.
        mutating func answer() async throws -> Answer? {
            while true {
                if let end = buffer.range(of: "\r\n\r\n") {
                    let head = String(buffer[..<end.lowerBound])
                    let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
                    var answer = Answer(status: status, head: head, content: "")
                    let length = answer.field("Content-Length").flatMap { Int($0) } ?? 0
                    let content = Array(buffer[end.upperBound...].utf8)
                    if content.count >= length {
                        answer.content = String(decoding: content[..<length], as: UTF8.self)
                        buffer = String(decoding: content[length...], as: UTF8.self)
                        return answer
                    }
                }
                guard let more = try await inbound.next() else { return nil }
                buffer += String(buffer: more)
            }
        }

        mutating func exchange(_ text: String) async throws -> Answer? {
            try await send(text)
            return try await answer()
        }
    }
}
