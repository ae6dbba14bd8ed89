import GatewayCore
import NIOCore

/// Looks at a server whenever it has become available and every minute: do its settings keep records, and does it still
/// have those of before? Bound to its event loop.
final class RedisWatch {
    private static let pause = Duration.seconds(60)

    private weak var server: RedisServer?
    private let health: RedisHealth
    private var timer: Scheduled<Void>?
    /// The value of the epoch key, as last seen. It has no expiry, so only a wipe takes it away.
    private var epoch: String?

    init(_ server: RedisServer, health: RedisHealth) {
        self.server = server
        self.health = health
    }

    func look() {
        guard let server else { return }
        timer?.cancel()
        timer = server.eventLoop.assumeIsolated().scheduleTask(deadline: server.eventLoop.now + Self.pause) {
            self.look()
        }
        lookForEpoch(server)
        for node in server.topology?.nodes ?? [] { lookAtSettings(of: node, server) }
    }

    // MARK: Epoch

    private func lookForEpoch(_ server: RedisServer) {
        let key = server.keys.epoch
        let fresh = String(UInt64.random(in: .min ... .max), radix: 16)
        server.run(.plain(["SET", key, fresh, "NX"], key: key)) { [self] result in
            guard case .success = result else { return }
            server.run(.plain(["GET", key], key: key)) { [self] result in
                guard case .success(let reply) = result, let found = reply.text else { return }
                if let epoch, epoch != found {
                    health.noteWipe()
                    server.onEvent(.wiped)
                }
                epoch = found
            }
        }
    }

    // MARK: Settings

    private func lookAtSettings(of node: RedisNode, _ server: RedisServer) {
        let waitReplicas = server.configuration.waitReplicas
        node.send(RedisRequest(.plain(["INFO"]))) { [self] result in
            guard case .success(let reply) = result, let text = reply.text else { return }
            let information = ServerInformation(text)
            if let policy = information["maxmemory_policy"] {
                note(.maxmemoryPolicy, isSafe: policy == "noeviction", value: policy)
            }
            if waitReplicas > 0, let replicas = information["connected_slaves"] {
                note(.replicas, isSafe: Int(replicas) ?? 0 >= waitReplicas, value: replicas)
            }
            lookAtPersistence(
                of: node, hasAppendOnlyFile: information["aof_enabled"] == "1", isReplicated: waitReplicas > 0)
        }
    }

    private func lookAtPersistence(of node: RedisNode, hasAppendOnlyFile: Bool, isReplicated: Bool) {
        guard !hasAppendOnlyFile else {
            note(.persistence, isSafe: true, value: "appendonly")
            guard !isReplicated else { return }
            return read("appendfsync", of: node) { self.note(.appendfsync, isSafe: $0 == "always", value: $0) }
        }
        read("save", of: node) {
            self.note(.persistence, isSafe: !$0.isEmpty, value: $0.isEmpty ? "neither appendonly nor save" : $0)
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

extension RedisServer {
    /// Has this server's settings looked at from now on. One event loop of a gateway does it for all.
    public func watch(_ health: RedisHealth) {
        watch = RedisWatch(self, health: health)
    }
}
