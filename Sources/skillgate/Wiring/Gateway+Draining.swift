import GatewayCore
import GatewayServer
import GatewayUpstream
import Logging
import NIOCore
import Synchronization

/// Draining: messages in flight are finished, for at most the drain timeout.
extension Gateway {
    func drain(_ listeners: [HTTPListener]) async throws {
        isDraining.store(true, ordering: .relaxed)
        serviceManager.tell(.stopping)
        logger.notice("draining", metadata: ["gateway.drain.notice": "\(configuration.drain.notice)"])
        for listener in listeners { try await listener.startDraining() }
        try? await Task.sleep(for: configuration.drain.notice)
        if await finish(listeners) {
            logger.notice("drained: all messages answered")
        } else {
            logger.error("drain timeout exceeded: messages in flight abandoned")
        }
        for skill in skills { skill.tokens.stop() }
        current.withLock { $0.reloadable.issuers }.stop()
        try await closeUpstream()
        await deliverLastEvents()
        await exportLastTraces()
        sharedRates?.stop()
        quotas.stop()
        sharedStoreClients?.shutDown()
        await closeStore()
        try await onEachLoop { $0.forwarder.value.closeLogs() }
        if let operatorLog { try await controlLoop.submit { operatorLog.value.close() }.get() }
        try await logs.close()
    }

    /// How long the last events may take, and finding out which there are.
    private static let finalDeliveryTimeout = Duration.seconds(2)

    /// Nobody else would report messages whose outcome is unknown to this process.
    private func deliverLastEvents() async {
        guard runningConfiguration.events != nil else { return }
        let end = ContinuousClock.now + Self.finalDeliveryTimeout
        // Half of the time for reading records: what has been found is to be delivered, too.
        await onEachLoop(atMost: Self.finalDeliveryTimeout / 2) { $0.forwarder.value.reportUnknownOutcomes() }
        await events.finish(within: max(.zero, end - .now))
        let unreported = (try? await onEachLoop { $0.forwarder.value.unreportedOutcomes })?.reduce(0, +) ?? 0
        if unreported > 0 {
            logger.warning(
                "shutting down with unreported unknown outcomes", metadata: ["gateway.events.count": "\(unreported)"])
        }
    }

    /// Before the shared store goes away, where links are looked up.
    private func exportLastTraces() async {
        let end = ContinuousClock.now + Self.finalDeliveryTimeout
        // Half of the time for looking up links: what is there is to be exported, too.
        await onEachLoop(atMost: Self.finalDeliveryTimeout / 2) { $0.forwarder.value.closeTraces() }
        await traces.finish(within: max(.zero, end - .now))
    }

    /// Begins `body` on all event loops at once, and returns when it has ended on each, or when the time is up.
    private func onEachLoop(
        atMost limit: Duration, _ body: @escaping @Sendable (Loop) -> EventLoopFuture<Void>
    ) async {
        let all = EventLoopFuture.andAllComplete(
            loops.map { loop in loop.forwarder.eventLoop.flatSubmit { body(loop) } }, on: controlLoop)
        let isOver = controlLoop.makePromise(of: Void.self)
        controlLoop.execute { [controlLoop] in
            controlLoop.wait(for: all, atMost: limit) { _ in isOver.succeed() }
        }
        try? await isOver.futureResult.get()
    }

    /// Gives the store a short time to confirm pending settlements.
    private func closeStore() async {
        let end = ContinuousClock.now + Self.longestSettling
        while ContinuousClock.now < end {
            let backlogs = try? await onEachLoop { $0.store?.value.statistics.backlog ?? 0 }
            guard backlogs?.contains(where: { $0 > 0 }) == true else { break }
            try? await Task.sleep(for: .milliseconds(100))
        }
        _ = try? await onEachLoop { $0.store?.value.shutDown() }
        await records.folder?.close()
        await userMemory?.close(users)
        await folder?.release()
    }

    /// The longest wait for settlements that are pending after the last response.
    private static let longestSettling = Duration.seconds(2)

    /// False if the drain timeout was exceeded before the last response.
    private func finish(_ listeners: [HTTPListener]) async -> Bool {
        let timeout = configuration.drain.timeout
        return await withTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                // Concurrently: while one listener finishes slowly, the others must not keep accepting.
                await withTaskGroup(of: Void.self) { finishes in
                    for listener in listeners { finishes.addTask { try? await listener.finish() } }
                }
                return true
            }
            tasks.addTask {
                do {
                    try await Task.sleep(for: timeout)
                } catch {
                    return true  // everything was answered before
                }
                // Callers whose messages await Amazon get "outcome unknown"; then all connections are closed.
                try? await self.closeUpstream()
                for listener in listeners { try? await listener.abort() }
                return false
            }
            // When the time is up, the listeners finish, too, since all of their connections are closed.
            var areFinished = true
            for await isFinished in tasks {
                areFinished = areFinished && isFinished
                tasks.cancelAll()
            }
            return areFinished
        }
    }

    private func closeUpstream() async throws {
        try await onEachLoop { loop in
            for region in Region.allCases { loop.pools[region].value.shutDown() }
        }
    }
}
