import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// A region's name stands for two addresses, and at one of them there is nobody who can be talked to.
@Suite(.serialized) struct AddressTests {
    enum Fault: String, CaseIterable, Sendable {
        /// Nothing listens.
        case refuses
        /// TCP is accepted, and reset when TLS begins.
        case resets
        /// TCP is accepted, and then nothing comes.
        case saysNothing
        /// TCP itself is not answered.
        case ignores
    }

    @Test(arguments: Fault.allCases)
    func `a message finds the address that works, and is sent once`(fault: Fault) async throws {
        let library = try await PreloadedLibrary("addresses")
        defer { library.remove() }
        let environment = ["LD_PRELOAD": library.path, "ADDRESSES": library.folder + "/addresses"]
        try await TestBed.run(tls: true, skills: 1, environment: environment) { bed in
            // There is a token now.
            #expect(try await bed.send("EU-1", ["Gateway-Region": "EU"]).status == 202)
            let address = "127.0.0.2"
            let port = try #require(bed.simulatorURL.split(separator: ":").last.flatMap { Int($0) })
            let end = try Self.begin(fault, at: address, port)
            defer { end() }
            try Data("\(address)\n127.0.0.1\n".utf8).write(to: URL(fileURLWithPath: library.folder + "/addresses"))
            let before = try await bed.counters().received
            let statuses = try await Traffic.flow(
                by: { .tcp(port: bed.port) }, senders: 32,
                request: { bed.request(user: "NA-1", idempotencyKey: "k-\($0)") }
            ) { await $0.more(200) }
            #expect(Set(statuses.keys) == [202], "\(bed.gateway.log)")
            #expect(try await bed.counters().received == before + statuses.values.reduce(0, +))
            try await bed.untilMetric(#"skillgate_circuit_state{region="NA"}"#, is: 0)
        }
    }

    /// - Returns: what ends it.
    private static func begin(_ fault: Fault, at address: String, _ port: Int) throws -> () -> Void {
        switch fault {
        case .refuses: return {}
        case .resets, .saysNothing:
            let server = try CuttingServer(on: address, port: port)
            server.cut(fault == .resets ? .request(after: 0) : .silence)
            return { server.stop() }
        case .ignores:
            let socket = try LoopbackSocket(on: address, port: port)
            listen(socket.descriptor, 0)
            // It fills the queue, so that the kernel answers nobody else.
            let first = try LoopbackSocket(connectedTo: port, of: address)
            return { for socket in [socket, first] { close(socket.descriptor) } }
        }
    }
}
