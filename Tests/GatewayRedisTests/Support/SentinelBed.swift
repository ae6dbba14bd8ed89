import Foundation
import GatewayRedis
import StoreContract
import TestSupport

/// A master, a replica, and three Sentinels that watch them.
struct SentinelBed: Sendable {
    let servers: [RedisProcess]
    let sentinels: [RedisProcess]

    var configuration: RedisConfiguration {
        var configuration = RedisConfiguration(
            addresses: sentinels.map { .init(host: "127.0.0.1", port: $0.port) })
        configuration.topology = .sentinel(master: "records", nil)
        return configuration
    }

    static func run(_ body: (SentinelBed) async throws -> Void) async throws {
        let master = try RedisProcess.plain()
        let replica = try RedisProcess.plain(["--replicaof", "127.0.0.1", String(master.port)])
        var sentinels: [RedisProcess] = []
        for _ in 0..<3 {
            // A Sentinel keeps its state in the file it was started with.
            let port = try FreePort.find()
            let file = FileManager.default.temporaryDirectory.appendingPathComponent("sentinel-\(UUID().uuidString)")
            try """
            port \(port)
            sentinel monitor records 127.0.0.1 \(master.port) 2
            sentinel down-after-milliseconds records 1000
            sentinel failover-timeout records 4000
            """.write(to: file, atomically: true, encoding: .utf8)
            sentinels.append(try RedisProcess([file.path, "--sentinel"], port: port))
        }
        let bed = SentinelBed(servers: [master, replica], sentinels: sentinels)
        let all = [master, replica] + sentinels
        do {
            for server in [master, replica] { try await server.start() }
            try await until { try master.replicates(to: 1) }
            for sentinel in sentinels { try await sentinel.startSentinel() }
            for sentinel in sentinels {
                try await until {
                    let state = try sentinel.command("SENTINEL", "MASTER", "records")
                    return state.contains("num-slaves\n1\n") && state.contains("num-other-sentinels\n2\n")
                }
            }
            try await body(bed)
        } catch {
            for server in all { await server.stop() }
            throw error
        }
        for server in all { await server.stop() }
    }

    /// The port of the server that the Sentinels take for the master.
    func masterPort() throws -> Int? {
        let lines = try sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "records")
        return lines.split(whereSeparator: \.isNewline).last.flatMap { Int($0) }
    }
}
