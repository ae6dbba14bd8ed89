import Foundation
import TestSupport
import Testing

/// What people read when the system says no: words, with the address or file, and nothing of the code that failed.
@Suite(.serialized) struct SystemErrorTests {
    private func withFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try TestBed.write("sgk_canary-0123456789abcdef", to: "key", in: folder)
        try TestBed.write("secret", to: "secret", in: folder)
        try await body(folder)
    }

    private func run(_ command: String, _ folder: URL, listener: String, more: String = "") async throws -> (
        Int32, String
    ) {
        let yaml = """
            listeners: [{address: \(listener)}]
            admin: {address: 127.0.0.1:0}
            tokenEndpoint: http://127.0.0.1:1/token
            skills: [{name: weather, clientID: c, clientSecret: {file: secret}}]
            callers: [{name: orders, apiKeys: [{file: key}], skills: [weather]}]
            \(more)
            """
        try TestBed.write(yaml, to: "skillgate.yaml", in: folder)
        let process = try RunningProcess(
            RunningProcess.skillgate, [command, "--config", folder.path + "/skillgate.yaml"])
        defer { process.signal(SIGKILL) }
        return (await process.exitStatus(), await process.output())
    }

    @Test func `an address at which nobody can listen`() async throws {
        let taken = try LoopbackSocket()
        defer { taken.close() }
        try await withFolder { folder in
            for (listener, words) in [
                ("127.0.0.1:\(taken.port)", "cannot listen on 127.0.0.1:\(taken.port): it is in use"),
                ("203.0.113.7:80", "cannot listen on 203.0.113.7:80: it is not an address of this machine"),
                ("nowhere.invalid:80", "cannot listen on nowhere.invalid:80: its host has no address"),
            ] {
                let (status, output) = try await run("serve", folder, listener: listener)
                #expect(status == 69 && output.contains(words), "\(output)")
                #expect(!output.contains("errno") && !output.contains("bind("))
            }
            let simulator = try RunningProcess(
                RunningProcess.skillgate, ["simulate", "--listen", "127.0.0.1:\(taken.port)"])
            #expect(await simulator.exitStatus() == 69)
            #expect(await simulator.output() == "cannot listen on 127.0.0.1:\(taken.port): it is in use\n")
        }
    }

    @Test func `files that are no certificates and keys`() async throws {
        try await withFolder { folder in
            try await Certificate.makeAuthority(in: folder)
            for name in ["one", "other"] { try await Certificate.issue(name, for: "DNS:localhost", in: folder) }
            try TestBed.write("junk", to: "junk", in: folder)
            func files(_ chain: String, _ key: String, _ authority: String? = nil) -> String {
                "127.0.0.1:0, tls: {certificateChainFile: \(chain), privateKeyFile: \(key)"
                    + (authority.map { ", clientCAFile: \($0)}" } ?? "}")
            }
            for (listener, more, words) in [
                (files("junk", "one-key.pem"), "", "junk contains no readable certificate; expected PEM"),
                (files("one.pem", "junk"), "", "junk contains no readable private key; expected PEM"),
                (files("one.pem", "none"), "", "none: No such file or directory"),
                (files("one.pem", "other-key.pem"), "", "other-key.pem does not match the certificate in"),
                (files("one.pem", "one-key.pem", "junk"), "", "junk contains no readable certificate"),
                ("127.0.0.1:0", "upstream: {trust: {caFile: junk}}", "junk contains no readable certificate"),
                (
                    "127.0.0.1:0", "idempotency: {store: redis, redis: {url: 'rediss://h', tls: {caFile: junk}}}",
                    "junk contains no readable certificate"
                ),
            ] {
                let (status, output) = try await run("check", folder, listener: listener, more: more)
                #expect(status == 64 && output.contains(words), "\(output)")
                #expect(!output.contains("failedTo") && !output.contains("errno"), "\(output)")
            }
        }
    }
}
