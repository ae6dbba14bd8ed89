import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// As a service of systemd: its socket, and what it is told.
@Suite struct ServiceManagerTests {
    /// Starts the gateway of a bed's folder with a socket that is named `web`.
    private func start(
        _ bed: TestBed, listeners: String, host: String = "127.0.0.1", more: String = ""
    ) async throws -> RunningProcess {
        let python = try #require(ProcessInfo.processInfo.environment["TEST_PYTHON"])
        let yaml = try String(contentsOf: bed.folder.appendingPathComponent("skillgate.yaml"), encoding: .utf8)
        try bed.replace(
            "service.yaml",
            with: yaml.replacingOccurrences(of: "listeners: [{address: 127.0.0.1:0}]", with: "listeners: \(listeners)")
                + more)
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Python/service_manager.py").path
        return try RunningProcess(
            python,
            [script, "web", host, RunningProcess.skillgate, "serve", "--config", bed.folder.path + "/service.yaml"])
    }

    @Test func `it serves on the socket that it is given, and tells how it is`() async throws {
        try await TestBed.run(skills: 1) { bed in
            let service = try await start(bed, listeners: #"[{address: "systemd:web"}]"#)
            defer { service.signal(SIGKILL) }
            let port = try await service.port("manager.listener")
            _ = try await service.line(with: "told: READY=1")
            let answer = try await TestBed.transfer(
                "POST", "http://127.0.0.1:\(port)/v1/skillmessages/users/amzn1.ask.account.NA-1", #"{"data":{}}"#,
                [
                    "Authorization": "Bearer \(TestBed.apiKey)", "Content-Type": "application/json",
                    "Gateway-Region": "NA",
                ])
            #expect(answer.status == 202, "\(answer)")
            service.signal(SIGHUP)
            _ = try await service.line(with: "told: RELOADING=1 MONOTONIC_USEC=")
            _ = try await service.line(with: "configuration reloaded")
            service.signal(SIGTERM)
            _ = try await service.line(with: "told: STOPPING=1")
            #expect(await service.exitStatus() == 0)
        }
    }

    @Test(
        arguments: [
            (#"[{address: "systemd:other"}]"#, "127.0.0.1", "", 69, "no such socket was passed to the process"),
            (
                #"[{address: "systemd:web"}, {address: "systemd:web"}]"#, "127.0.0.1", "", 64,
                "`systemd:web` is given to another"
            ),
            (
                #"[{address: "systemd:web"}]"#, "0.0.0.0", "\nanonymousCaller: {skills: [weather]}", 69,
                "it can be reached from other machines"
            ),
        ] as [(String, String, String, Int32, String)])
    func `what is wrong with the socket is said`(
        listeners: String, host: String, more: String, status: Int32, problem: String
    ) async throws {
        try await TestBed.run(skills: 1) { bed in
            let service = try await start(bed, listeners: listeners, host: host, more: more)
            #expect(await service.exitStatus() == status)
            #expect(service.log.contains(problem), "\(service.log)")
        }
    }
}
