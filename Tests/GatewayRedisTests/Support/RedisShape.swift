import Foundation
import GatewayRedis
import StoreContract
import TestSupport
import Testing

/// A Redis in one of the shapes that companies run it in; started and ended by the test.
struct RedisShape: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let run: @Sendable (_ body: (RedisConfiguration) async throws -> Void) async throws -> Void

    /// Without slots that move under a sanitizer, where a command takes so long that its slot has moved on, again and again.
    static let all =
        [plain, olderProtocol, password, tls, accessControl, sentinel, replicated]
        + (ProcessInfo.processInfo.environment["TEST_SANITIZED"] == nil ? [cluster] : [])

    static let plain = RedisShape(testDescription: "plain") { body in
        try await with(RedisProcess.plain()) { server in
            try await body(RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)]))
        }
    }

    /// A server that knows RESP2 only, and no other database than asked for.
    static let olderProtocol = RedisShape(testDescription: "RESP2, database 3") { body in
        try await with(RedisProcess.plain(["--rename-command", "HELLO", ""])) { server in
            var configuration = RedisConfiguration(addresses: [.init(host: "localhost", port: server.port)])
            configuration.database = 3
            try await body(configuration)
        }
    }

    static let password = RedisShape(testDescription: "password") { body in
        try await with(RedisProcess.plain(["--requirepass", "a secret of two words"])) { server in
            var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)])
            configuration.credentials = .init(password: "a secret of two words")
            try await body(configuration)
        }
    }

    static let tls = RedisShape(testDescription: "TLS with client certificate") { body in
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Certificate.make(in: folder)
        let server = try RedisProcess([
            "--tls-port", "@PORT@", "--port", "0", "--save", "", "--tls-cert-file", folder.path + "/cert.pem",
            "--tls-key-file", folder.path + "/key.pem", "--tls-ca-cert-file", folder.path + "/cert.pem",
            "--tls-auth-clients", "yes",
        ])
        try await with(server) { server in
            var configuration = RedisConfiguration(addresses: [.init(host: "localhost", port: server.port)])
            var tls = RedisConfiguration.TLS()
            tls.caFile = folder.path + "/cert.pem"
            tls.certificateChainFile = folder.path + "/cert.pem"
            tls.privateKeyFile = folder.path + "/key.pem"
            configuration.tls = tls
            try await body(configuration)
        }
    }

    /// The least that the gateway needs, as `Docs/Configuration.md` says.
    static let accessControl = RedisShape(testDescription: "ACL") { body in
        let rules =
            "on >orders-password ~gate:* resetchannels -@all +hello +auth +info +get +set +del +pttl +eval +evalsha"
            + " +wait +select +client|setname +client|id +client|kill +config|get"
        let server = try RedisProcess.plain(["--user", "orders"] + rules.split(separator: " ").map(String.init))
        try await with(server) { server in
            try server.command("ACL", "SETUSER", "default", "off")
            var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)])
            configuration.credentials = .init(username: "orders", password: "orders-password")
            configuration.keyPrefix = "gate"
            try await body(configuration)
        }
    }

    static let cluster = RedisShape(testDescription: "cluster while slots move") { body in
        try await RedisClusterBed.run { cluster in
            let mover = Task { try await cluster.moveSlots() }
            try await body(cluster.configuration)
            mover.cancel()
            _ = try? await mover.value
        }
    }

    static let sentinel = RedisShape(testDescription: "Sentinel") { body in
        try await SentinelBed.run { try await body($0.configuration) }
    }

    static let replicated = RedisShape(testDescription: "one replica, waited for") { body in
        try await with(RedisProcess.plain()) { server in
            let replica = try RedisProcess.plain(["--replicaof", "127.0.0.1", String(server.port)])
            try await with(replica) { _ in
                try await until { try server.replicates(to: 1) }
                var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: server.port)])
                configuration.waitReplicas = 1
                try await body(configuration)
            }
        }
    }

    /// Starts the server, and ends it whatever becomes of `body`.
    static func with(_ server: RedisProcess, _ body: (RedisProcess) async throws -> Void) async throws {
        try await server.start()
        do {
            try await body(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }
}
