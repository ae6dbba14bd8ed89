import Foundation
import GatewayRedis
import StoreContract
import TestSupport

/// Three masters on loopback.
struct RedisClusterBed: Sendable {
    let nodes: [RedisProcess]

    var configuration: RedisConfiguration {
        var configuration = RedisConfiguration(addresses: [.init(host: "127.0.0.1", port: nodes[0].port)])
        configuration.topology = .cluster
        return configuration
    }

    static func run(_ body: (RedisClusterBed) async throws -> Void) async throws {
        var nodes: [RedisProcess] = []
        var buses: [String] = []
        for _ in 0..<3 {
            // The bus has a port of its own, which else would be the first one plus 10,000.
            let bus = String(try FreePort.find())
            buses.append(bus)
            nodes.append(
                try RedisProcess.plain([
                    "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000",
                ]))
        }
        let bed = RedisClusterBed(nodes: nodes)
        do {
            for node in nodes { try await node.start() }
            for (index, slots) in [("0", "5460"), ("5461", "10922"), ("10923", "16383")].enumerated() {
                try nodes[index].command("CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1)
                try nodes[index].command("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1))
                guard index > 0 else { continue }
                try nodes[0].command("CLUSTER", "MEET", "127.0.0.1", String(nodes[index].port), buses[index])
            }
            for node in nodes {
                try await until { try node.command("CLUSTER", "INFO").contains("cluster_state:ok") }
            }
            try await body(bed)
        } catch {
            for node in nodes { await node.stop() }
            throw error
        }
        for node in nodes { await node.stop() }
    }

    /// Moves slots from node to node, keys and all, until cancelled.
    func moveSlots() async throws {
        var ids: [String] = []
        for node in nodes { ids.append(try node.command("CLUSTER", "MYID").trimmed) }
        // The first node has the first third; 17 and 5461 have no divisor in common, so each slot comes once.
        for step in 0..<5461 {
            if Task.isCancelled { return }
            try await move(step * 17 % 5461, from: 0, to: 1 + step % 2, ids)
        }
    }

    private func move(_ slot: Int, from source: Int, to target: Int, _ ids: [String]) async throws {
        let number = String(slot)
        try nodes[target].command("CLUSTER", "SETSLOT", number, "IMPORTING", ids[source])
        try nodes[source].command("CLUSTER", "SETSLOT", number, "MIGRATING", ids[target])
        while true {
            let keys = try nodes[source].command("CLUSTER", "GETKEYSINSLOT", number, "100")
                .split(whereSeparator: \.isNewline).map(String.init)
            if keys.isEmpty { break }
            for key in keys {
                try nodes[source].command("MIGRATE", "127.0.0.1", String(nodes[target].port), key, "0", "5000")
            }
        }
        for node in [target, source] {
            try nodes[node].command("CLUSTER", "SETSLOT", number, "NODE", ids[target])
        }
    }
}

extension String {
    var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
