import GatewayRedis
import NIOCore
import NIOPosix

/// A connection to the Redis of a configuration, for one command.
enum RedisSession {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Calls `body` once Redis is there.
    ///
    /// - Parameter name: what Redis calls the connection.
    static func run<Value: Sendable>(
        _ redis: RedisConfiguration, name: String, _ body: (NIOLoopBound<RedisClient>) async throws -> Value
    ) async throws -> Value {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { group.shutdownGracefully { _ in } }
        let eventLoop = group.next()
        let reasons = LastStoreError()
        let server = try await eventLoop.submit {
            let server = try RedisClient(
                redis, clientName: name, eventLoop: eventLoop, vouches: false, unixMilliseconds: UnixTime.milliseconds
            ) { event in
                if case .lost(let reason) = event { reasons.note(reason) }
                if case .refused(let text) = event { reasons.note(text) }
            }
            server.start()
            return NIOLoopBound(server, eventLoop: eventLoop)
        }.get()
        let value: Value
        do {
            try await untilReached(server, reasons)
            value = try await body(server)
        } catch {
            try? await eventLoop.submit { server.value.shutDown() }.get()
            throw error
        }
        try await eventLoop.submit { server.value.shutDown() }.get()
        return value
    }

    private static func untilReached(_ server: NIOLoopBound<RedisClient>, _ reasons: LastStoreError) async throws {
        let (patience, pause) = (Duration.seconds(10), Duration.milliseconds(20))
        let end = ContinuousClock.now + patience
        while try await !server.eventLoop.submit({ server.value.isUp }).get() {
            guard ContinuousClock.now < end else {
                throw Failure(description: "the store cannot be reached: \(reasons.last ?? "no answer in time")")
            }
            try await Task.sleep(for: pause)
        }
    }
}
