import Foundation
import TestSupport
import TokenEndpointClient

/// A real Prometheus on a free port that scrapes gateways and evaluates the rules that are shipped, both several times a second.
struct PrometheusProcess: Sendable {
    /// The folder of the shipped files.
    static let shipped = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Deploy/Prometheus")

    let url: String

    /// - Parameters:
    ///   - targets: addresses of admin listeners.
    ///   - window: what stands for every window of the shipped rules, whose own are minutes; and no alert waits.
    static func run(
        scraping targets: [String], window: String = "10s", _ body: (PrometheusProcess) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("prometheus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["recording.yaml", "alerts.yaml", "slo.yaml"] {
            let rules = try String(contentsOf: shipped.appendingPathComponent(name), encoding: .utf8)
            try TestBed.write(hastened(rules, window: window), to: name, in: folder)
        }
        let yaml = """
            global: {scrape_interval: 200ms, evaluation_interval: 200ms}
            rule_files: [recording.yaml, alerts.yaml, slo.yaml]
            scrape_configs: [{job_name: skillgate, static_configs: [{targets: \(targets)}]}]
            """
        try TestBed.write(yaml, to: "prometheus.yaml", in: folder)
        let port = try FreePort.find()
        let process = try RunningProcess(
            "/usr/bin/prometheus",
            [
                "--config.file=\(folder.path)/prometheus.yaml", "--storage.tsdb.path=\(folder.path)/data",
                "--web.listen-address=127.0.0.1:\(port)", "--enable-feature=exemplar-storage",
            ])
        _ = try await process.line(with: "Server is ready to receive web requests")
        do {
            try await body(PrometheusProcess(url: "http://127.0.0.1:\(port)"))
        } catch {
            await end(process)
            throw error
        }
        await end(process)
    }

    private static func end(_ process: RunningProcess) async {
        process.signal(SIGKILL)
        _ = await process.exitStatus()
    }

    private static func hastened(_ rules: String, window: String) -> String {
        rules.replacing(/\[\d+[smhd]\]/, with: "[\(window)]").replacing(/\n +(for|interval): .*/, with: "")
    }

    struct Sample: Decodable {
        var metric: [String: String]
        var value: Value

        struct Value: Decodable {
            var number: Double

            init(from decoder: any Decoder) throws {
                var pair = try decoder.unkeyedContainer()
                _ = try pair.decode(Double.self)
                number = Double(try pair.decode(String.self)) ?? .nan
            }
        }
    }

    /// What a query finds now; throws if it cannot be understood.
    func query(_ expression: String) async throws -> [Sample] {
        struct Reply: Decodable {
            struct Result: Decodable { var result: [Sample] }
            var data: Result?
            var error: String?
        }
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        let text = expression.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
        let answer = try await TestBed.transfer("GET", "\(url)/api/v1/query?query=\(text)")
        let reply = try JSONDecoder().decode(Reply.self, from: Data(answer.content))
        guard let data = reply.data else {
            throw RunningProcess.Failure(description: "\(expression): \(reply.error ?? answer.text)")
        }
        return data.result
    }

    /// Returns when a query finds something; throws if it never does.
    ///
    /// - Parameter action: done again before each look.
    func until(_ expression: String, doing action: () async throws -> Void = {}) async throws {
        let end = ContinuousClock.now + .seconds(90)
        while ContinuousClock.now < end {
            try await action()
            if try await !query(expression).isEmpty { return }
        }
        throw RunningProcess.Failure(description: "never came about: \(expression)")
    }

    /// Returns when an alert fires.
    func untilFiring(_ alert: String, doing action: () async throws -> Void = {}) async throws {
        try await until("ALERTS{alertname=\"\(alert)\",alertstate=\"firing\"}", doing: action)
    }
}
