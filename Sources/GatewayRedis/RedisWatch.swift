import GatewayCore
import NIOCore

/// Looks at the servers whenever one has become available and every minute: do their settings keep records? And every second: does
/// their clock go as time does? Bound to its event loop.
final class RedisWatch {
    private static let pause = Duration.seconds(60)
    private weak var server: RedisClient?
    private let health: RedisHealth
    private var timer: Scheduled<Void>?
    private var clocks = ServerClocks()

    init(_ server: RedisClient, health: RedisHealth) {
        self.server = server
        self.health = health
    }

    func look() {
        guard let server else { return }
        timer?.cancel()
        timer = server.eventLoop.assumeIsolated().scheduleTask(deadline: server.eventLoop.now + Self.pause) {
            self.look()
        }
        for node in server.topology?.nodes ?? [] { lookAtSettings(of: node, server) }
    }

    // MARK: Clocks

    func lookAtClocks() {
        guard let server else { return }
        for node in server.topology?.nodes ?? [] {
            let asked = server.eventLoop.now
            node.send(RedisRequest(.plain(["TIME"]))) { [self] result in
                guard case .success(let reply) = result, let address = node.address,
                    let jump = clocks.note(reply, of: address, at: asked)
                else { return }
                health.noteClockJump()
                server.onEvent(.clockJumped(by: jump))
            }
        }
    }

    // MARK: Settings

    private func lookAtSettings(of node: RedisNode, _ server: RedisClient) {
        let wanted = node.waitReplicas
        if case .count(let count) = server.configuration.waitReplicas, let known = server.topology?.replicas {
            note(.waitReplicas, isSafe: count >= known, value: "\(count) of \(known)")
        }
        node.send(RedisRequest(.plain(["INFO"]))) { [self] result in
            guard case .success(let reply) = result, let text = reply.text else { return }
            let information = ServerInformation(text)
            if let policy = information["maxmemory_policy"] {
                note(.maxmemoryPolicy, isSafe: policy == "noeviction", value: policy)
            }
            if wanted > 0, let replicas = information["connected_slaves"] {
                note(.replicas, isSafe: Int(replicas) ?? 0 >= wanted, value: replicas)
            }
            let hasAppendOnlyFile = information["aof_enabled"] == "1"
            note(
                .persistence, isSafe: hasAppendOnlyFile, value: hasAppendOnlyFile ? "appendonly" : "no append-only file"
            )
            if hasAppendOnlyFile {
                read("appendfsync", of: node) { self.note(.appendfsync, isSafe: $0 == "always", value: $0) }
            }
        }
    }

    /// A server that does not let us read its configuration leaves the question open.
    private func read(_ name: String, of node: RedisNode, _ then: @escaping (String) -> Void) {
        node.send(RedisRequest(.plain(["CONFIG", "GET", name]))) { result in
            if case .success(let reply) = result, let value = reply.member(name)?.text { then(value) }
        }
    }

    private func note(_ setting: RedisHealth.Setting, isSafe: Bool, value: String) {
        let isNews = health.note(setting, isSafe: isSafe)
        if isNews && !isSafe { server?.onEvent(.unsafe(setting, value: value)) }
    }
}

extension RedisClient {
    /// Has this server's settings looked at from now on. One event loop of a gateway does it for all.
    package func startWatching() {
        watch = RedisWatch(self, health: health)
    }
}
