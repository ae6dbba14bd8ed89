import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// A connection to the gateway that sends what it is told, right or wrong, and reads answers by their framing.
enum RawConnection {
    struct Response: Sendable {
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

    /// How to get to a listener.
    enum Way: Sendable {
        case tcp(port: Int)
        case tls(port: Int, NIOSSLContext, name: String = "localhost")
        case unix(path: String)

        /// TLS that trusts `ca.pem` of a folder.
        ///
        /// - Parameters:
        ///   - certificate: the name of a certificate and its key in the folder, to show.
        ///   - name: of the server.
        static func tls(
            port: Int, trusting folder: URL, certificate: String? = nil, name: String = "localhost"
        ) throws -> Way {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .file(folder.path + "/ca.pem")
            if let certificate {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(
                    "\(folder.path)/\(certificate).pem"
                ).map { .certificate($0) }
                configuration.privateKey = .privateKey(
                    try NIOSSLPrivateKey(file: "\(folder.path)/\(certificate)-key.pem", format: .pem))
            }
            return .tls(port: port, try NIOSSLContext(configuration: configuration), name: name)
        }
    }

    /// Connects, runs `body` and closes.
    static func with<Result: Sendable>(
        port: Int, _ body: @Sendable @escaping (inout Exchange) async throws -> Result
    ) async throws -> Result {
        try await with(.tcp(port: port), body)
    }

    static func with<Result: Sendable>(
        _ way: Way, _ body: @Sendable @escaping (inout Exchange) async throws -> Result
    ) async throws -> Result {
        let channel = try await connect(way)
        return try await channel.executeThenClose { inbound, outbound in
            var exchange = Exchange(inbound: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&exchange)
        }
    }

    private static func connect(_ way: Way) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        let wrap: @Sendable (any Channel) -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>> = { channel in
            channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
        }
        switch way {
        case .tcp(let port):
            return try await bootstrap.connect(host: "127.0.0.1", port: port, channelInitializer: wrap)
        case .unix(let path):
            return try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: wrap)
        case .tls(let port, let context, let name):
            return try await bootstrap.connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: name))
                    return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }
            }
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
        mutating func answer() async throws -> Response? {
            while true {
                if let end = buffer.range(of: "\r\n\r\n") {
                    let head = String(buffer[..<end.lowerBound])
                    let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
                    var answer = Response(status: status, head: head, content: "")
                    let length = answer.field("Content-Length").flatMap { Int($0) } ?? 0
                    let content = Array(buffer[end.upperBound...].utf8)
                    if content.count >= length {
                        answer.content = String(decoding: content[..<length], as: UTF8.self)
                        buffer = String(decoding: content[length...], as: UTF8.self)
                        TestBed.expectNoCanary(in: head + answer.content, of: "an answer")
                        return answer
                    }
                }
                guard let more = try await inbound.next() else { return nil }
                buffer += String(buffer: more)
            }
        }

        /// What comes, up to where `text` has.
        mutating func bytes(until text: String) async throws -> String {
            while !buffer.contains(text) {
                guard let more = try await inbound.next() else { break }
                buffer += String(buffer: more)
            }
            return buffer
        }

        mutating func exchange(_ text: String) async throws -> Response? {
            try await send(text)
            return try await answer()
        }
    }
}

extension RawConnection {
    struct Unexpected: Error, CustomStringConvertible {
        var description: String
    }
}
