import GatewayCore
import GatewayRedis
import NIOCore
import NIOPosix

/// Makes the key by which every server of a store vouches for its records, where it is not there or says that they were lost.
enum StoreAdoption {
    private static let patience = Duration.seconds(10)
    private static let pause = TimeAmount.milliseconds(20)

    /// What kept it from being done; nil once it is.
    static func adopt(_ redis: RedisConfiguration) async -> String? {
        var redis = redis
        // Whoever serves makes the key.
        redis.onStoreWiped = .serve
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let promise = eventLoop.makePromise(of: String?.self)
        let reasons = LastStoreError()
        let server = try? await eventLoop.submit { [redis] in
            let server = try RedisClient(
                redis, clientName: "skillgate-adopt", eventLoop: eventLoop, unixMilliseconds: UnixTime.milliseconds
            ) { event in
                if case .lost(let reason) = event { reasons.note(reason) }
                if case .refused(let text) = event { reasons.note(text) }
            }
            server.start()
            let bound = NIOLoopBound(server, eventLoop: eventLoop)
            eventLoop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { task in
                guard bound.value.isSound else { return }
                task.cancel()
                promise.succeed(nil)
            }
            return bound
        }.get()
        eventLoop.scheduleTask(in: TimeAmount(patience)) {
            promise.succeed(reasons.last ?? "the store did not respond in time")
        }
        let problem = (try? await promise.futureResult.get()) ?? nil
        if let server { try? await eventLoop.submit { server.value.shutDown() }.get() }
        try? await group.shutdownGracefully()
        return problem
    }
}
