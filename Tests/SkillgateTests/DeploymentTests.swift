import Foundation
import GatewayCore
import GatewayRedis
import GatewayServer
import TestSupport
import Testing
import Yams

@testable import skillgate

/// What is shipped for Kubernetes, Docker and systemd, held against what the gateway itself takes and does.
struct DeploymentTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// The documents of a file of YAML.
    private static func documents(_ yaml: String) throws -> [Node] {
        try Yams.compose_all(yaml: yaml).filter { $0.mapping != nil }
    }

    /// A configuration whose secrets and certificates are in a folder of the test's, not where they will be.
    private static func configuration(
        _ yaml: String, environment: [String: String] = [:]
    ) async throws -> GatewayConfiguration {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Certificate.make(in: folder)
        let paths = yaml.matches(of: /(?:\/etc|\/run)\/[a-z.\/-]+/).map { String($0.0) }
        var local = yaml
        for path in paths where !path.hasSuffix(".sock") {
            let name = path.replacingOccurrences(of: "/", with: "_")
            let content =
                switch path.split(separator: ".").last {
                case "crt": try Data(contentsOf: folder.appendingPathComponent("cert.pem"))
                case "key": try Data(contentsOf: folder.appendingPathComponent("key.pem"))
                default: Data("0123456789abcdef0123456789abcdef".utf8)
                }
            try content.write(to: folder.appendingPathComponent(name))
            local = local.replacingOccurrences(of: path, with: folder.appendingPathComponent(name).path)
        }
        return try GatewayConfiguration(yaml: local, fileName: "skillgate.yaml", folder: "", environment: environment)
    }

    /// Longer than the gateway takes to drain.
    private static func expectTimeToDrain(_ seconds: Int?, _ configuration: GatewayConfiguration, _ place: String) {
        let drain = configuration.drain.notice + configuration.drain.timeout
        #expect(Duration.seconds(seconds ?? 0) > drain, "\(place)")
    }

    private static func port(_ listener: ListenerConfiguration) -> Int? {
        if case .tcp(_, let port) = listener.address { port } else { nil }
    }

    // MARK: Kubernetes

    /// One container that runs the gateway, with the pod and the configuration it runs in.
    private struct Workload {
        var pod: Node
        var container: Node
        var configuration: GatewayConfiguration
        var documents: [Node]

        init(_ yaml: String) async throws {
            documents = try DeploymentTests.documents(yaml)
            let deployment = try #require(documents.first { $0["kind"]?.string == "Deployment" })
            let pod = try #require(deployment["spec"]?["template"]?["spec"])
            self.pod = pod
            let all = ["initContainers", "containers"].flatMap { pod[$0]?.array() ?? [] }
            container = try #require(all.first { $0["name"]?.string == "skillgate" })
            let map = try #require(documents.first { $0["kind"]?.string == "ConfigMap" })
            configuration = try await DeploymentTests.configuration(
                try #require(map["data"]?["skillgate.yaml"]?.string))
        }

        var ports: [String: Int] {
            var ports: [String: Int] = [:]
            for port in container["ports"]?.array() ?? [] {
                if let name = port["name"]?.string { ports[name] = port["containerPort"]?.int }
            }
            return ports
        }
    }

    private static let central = "Deploy/Kubernetes/central/skillgate.yaml"
    private static let sidecar = "Deploy/Kubernetes/sidecar/skillgate.yaml"

    /// What the chart makes of some values, by the real helm that `Tests/run` installs; nil where it is not there.
    private static func chart(_ arguments: [String]) async throws -> String? {
        guard let helm = ProcessInfo.processInfo.environment["TEST_HELM"] else { return nil }
        let chart = root.appendingPathComponent("Deploy/Helm/skillgate").path
        let process = try RunningProcess(helm, ["template", "gateway", chart] + arguments)
        // It says of each link in the chart that it follows it.
        let text = await process.output().split(separator: "\n").filter { !$0.hasPrefix("walk.go:") }.joined(
            separator: "\n")
        #expect(await process.exitStatus() == 0, "\(text)")
        return text
    }

    private static let values = [
        "--set-json",
        #"configuration.skills=[{"name":"weather","clientID":"c","clientSecret":{"file":"/etc/skillgate/secrets/weather"}}]"#,
        "--set-json",
        #"configuration.callers=[{"name":"orders","skills":["weather"],"apiKeys":[{"file":"/etc/skillgate/secrets/orders"}]}]"#,
        "--set-json",
        #"configuration.idempotency={"store":"redis","redis":{"url":"redis://redis"}}"#,
    ]

    private func workloads() async throws -> [(name: String, Workload)] {
        var workloads = [
            ("central", try await Workload(Self.text(Self.central))),
            ("sidecar", try await Workload(Self.text(Self.sidecar))),
        ]
        for (name, more) in [("chart", []), ("chart without TLS", ["--set", "tlsSecretName="])] as [(String, [String])]
        {
            if let yaml = try await Self.chart(Self.values + ["--set", "serviceMonitor.enabled=true"] + more) {
                workloads.append((name, try await Workload(yaml)))
            }
        }
        return workloads
    }

    @Test func `ports, probes and the time to end fit the gateway`() async throws {
        for (name, workload) in try await workloads() {
            let ports = workload.ports
            #expect(ports["admin"] == workload.configuration.admin.port, "\(name)")
            #expect(workload.configuration.admin.host == "0.0.0.0", "\(name): probes come from outside the pod")
            let listening = workload.configuration.listeners.compactMap(Self.port)
            #expect(ports.filter { $0.key != "admin" }.map(\.value) == listening, "\(name)")
            let isSecure = workload.configuration.listeners.contains { $0.tls != nil }
            #expect((ports["https"] != nil) == isSecure, "\(name)")
            let probes = ["startupProbe", "readinessProbe", "livenessProbe"].compactMap {
                workload.container[$0]?["httpGet"]
            }
            #expect(probes.count >= 2, "\(name)")
            for probe in probes {
                #expect(["/readyz", "/livez"].contains(probe["path"]?.string), "\(name)")
                #expect(probe["port"]?.string == "admin", "\(name)")
            }
            #expect(workload.container["livenessProbe"]?["httpGet"]?["path"]?.string == "/livez", "\(name)")
            Self.expectTimeToDrain(workload.pod["terminationGracePeriodSeconds"]?.int, workload.configuration, name)
        }
    }

    @Test func `names that one part says another knows`() async throws {
        for (name, workload) in try await workloads() {
            let volumes = Set((workload.pod["volumes"]?.array() ?? []).compactMap { $0["name"]?.string })
            let mounts = workload.container["volumeMounts"]?.array() ?? []
            #expect(volumes.isSuperset(of: mounts.compactMap { $0["name"]?.string }), "\(name)")
            // A part of a volume never changes while a container runs, and the gateway would not see a new configuration.
            #expect(mounts.allSatisfy { $0["subPath"] == nil }, "\(name)")
            let configuration = try #require(workload.container["args"]?.array().compactMap(\.string).last)
            #expect(mounts.contains { configuration.hasPrefix(($0["mountPath"]?.string ?? "-") + "/") }, "\(name)")

            let map = workload.documents.first { $0["kind"]?.string == "ConfigMap" }?["metadata"]?["name"]?.string
            let mounted = (workload.pod["volumes"]?.array() ?? []).compactMap { $0["configMap"]?["name"]?.string }
            #expect(mounted == [map], "\(name)")
            let deployment = workload.documents.first { $0["kind"]?.string == "Deployment" }
            let labels = deployment?["spec"]?["template"]?["metadata"]?["labels"]?.mapping
            let selectors = workload.documents.compactMap { document -> Node.Mapping? in
                let spec = document["spec"]
                return switch document["kind"]?.string {
                case "Service": spec?["selector"]?.mapping
                case "Deployment", "PodDisruptionBudget": spec?["selector"]?["matchLabels"]?.mapping
                case "NetworkPolicy": spec?["podSelector"]?["matchLabels"]?.mapping
                default: nil
                }
            }
            #expect(!selectors.isEmpty)
            for selector in selectors {
                for (label, value) in selector { #expect(labels?[label] == value, "\(name)") }
            }
            let targets = workload.documents.filter { $0["kind"]?.string == "Service" }
                .flatMap { $0["spec"]?["ports"]?.array() ?? [] }.compactMap { $0["targetPort"]?.string }
            #expect(Set(targets).isSubset(of: workload.ports.keys), "\(name)")
            if let scaled = workload.documents.first(where: { $0["kind"]?.string == "HorizontalPodAutoscaler" }) {
                #expect(
                    scaled["spec"]?["scaleTargetRef"]?["name"]?.string == deployment?["metadata"]?["name"]?.string)
            }
        }
    }

    @Test func `the secrets of the example are those that the page creates`() throws {
        let example = try Self.text("Deploy/Helm/examples/central.yaml")
        let named = Set(example.matches(of: /\/etc\/skillgate\/secrets\/(\w+)/).map { String($0.1) })
        let created = Set(
            try Self.text("Docs/Deploying.md").matches(of: /--from-file=secrets\/(\w+)/).map { String($0.1) })
        #expect(named == created)
    }

    @Test func `the chart's numbers follow one another`() async throws {
        let more = ["--set-json", #"configuration.drain={"notice":"500ms","timeout":"2m"}"#, "--set-json", "cpu=1.5"]
        guard let yaml = try await Self.chart(Self.values + more) else { return }
        let workload = try await Workload(yaml)
        #expect(workload.pod["terminationGracePeriodSeconds"]?.int == 131)
        #expect(workload.container["resources"]?["requests"]?["cpu"]?.string == "1.5")
        #expect(workload.container["env"]?.array().first?["value"]?.string == "2")
    }

    @Test func `the admin listener is on no load balancer, and the rules are those that are shipped`() async throws {
        let more = [
            "service.type=LoadBalancer", "networkPolicy.extraIngress[0].ports[0].port=8443",
            "prometheusRule.enabled=true", "dashboard.enabled=true",
        ]
        guard let yaml = try await Self.chart(Self.values + more.flatMap { ["--set", $0] }) else { return }
        let documents = try Self.documents(yaml)
        let services = documents.filter { $0["kind"]?.string == "Service" }
        #expect(services.count == 2)
        for service in services {
            let ports = service["spec"]?["ports"]?.array().compactMap { $0["name"]?.string }
            #expect(ports == (service["spec"]?["type"]?.string == "LoadBalancer" ? ["https"] : ["admin"]))
        }
        let rules = documents.first { $0["kind"]?.string == "PrometheusRule" }?["spec"]?["groups"]?.array() ?? []
        let shipped = try ["alerts", "slo"].flatMap {
            try Self.text("Deploy/Prometheus/\($0).yaml").matches(of: /- alert: (\w+)/).map { String($0.1) }
        }
        let alerts = rules.flatMap { $0["rules"]?.array() ?? [] }.compactMap { $0["alert"]?.string }
        #expect(alerts == shipped)
        let maps = documents.filter { $0["kind"]?.string == "ConfigMap" }.compactMap { $0["data"]?["skillgate.json"] }
        #expect(maps.count == 1)
    }

    @Test func `containers can do no more than they must`() async throws {
        for (name, workload) in try await workloads() {
            let context = try #require(workload.container["securityContext"])
            #expect(context["readOnlyRootFilesystem"]?.bool == true, "\(name)")
            #expect(context["allowPrivilegeEscalation"]?.bool == false, "\(name)")
            #expect(context["capabilities"]?["drop"]?.array().compactMap(\.string) == ["ALL"], "\(name)")
            let user = context["runAsUser"]?.int ?? workload.pod["securityContext"]?["runAsUser"]?.int
            #expect(user == 65532, "\(name)")
            #expect(workload.container["resources"]?["limits"]?["memory"] != nil, "\(name)")
        }
        let dockerfile = try Self.text("Deploy/Dockerfile")
        #expect(dockerfile.contains("USER 65532:65532"))
    }

    @Test func `the sidecar is native, and reached by a socket that both containers see`() async throws {
        let workload = try await Workload(Self.text(Self.sidecar))
        #expect(workload.container["restartPolicy"]?.string == "Always")
        #expect(workload.configuration.anonymousCaller != nil)
        guard case .unix(let path, _) = workload.configuration.listeners[0].address else {
            Issue.record("the listener is no Unix socket")
            return
        }
        for container in [workload.container] + (workload.pod["containers"]?.array() ?? []) {
            let mounts = (container["volumeMounts"]?.array() ?? []).compactMap { $0["mountPath"]?.string }
            #expect(mounts.contains { path.hasPrefix($0 + "/") })
        }
    }

    // MARK: Docker

    @Test func `the composition's parts fit one another`() async throws {
        let compose = try #require(try Self.documents(Self.text("Deploy/Compose/docker-compose.yaml")).first)
        let gateway = try #require(compose["services"]?["gateway"])
        var environment: [String: String] = [:]
        for (name, value) in gateway["environment"]?.mapping ?? [:] { environment[name.string ?? ""] = value.string }
        let configuration = try await Self.configuration(
            Self.text("Deploy/Compose/skillgate.yaml"), environment: environment)
        let published = (gateway["ports"]?.array() ?? []).compactMap { $0.string?.split(separator: ":").last }
        let simulator = compose["services"]?["simulator"]?["command"]?.array().compactMap(\.string).last
        for port in [
            Self.port(configuration.listeners[0]), configuration.admin.port, configuration.endpoints[.europe].port,
        ] {
            #expect(published.contains(Substring(String(port ?? 0))))
        }
        #expect(simulator?.split(separator: ":").last == Substring(String(configuration.endpoints[.europe].port)))
        #expect(compose["services"]?["simulator"]?["network_mode"]?.string == "service:gateway")
        let directory = try #require(configuration.idempotency.file.directory)
        #expect(configuration.idempotency.kind == .file)
        let volumes = gateway["volumes"]?.array().compactMap(\.string) ?? []
        #expect(volumes.contains("records:\(directory)") && compose["volumes"]?.mapping?["records"] != nil)
        #expect(try Self.text("Deploy/image-root").contains("-o 65532 -g 65532 \"$root\(directory)\"\n"))
        let grace = gateway["stop_grace_period"]?.string.flatMap { Int($0.dropLast()) }
        Self.expectTimeToDrain(grace, configuration, "docker-compose.yaml")
        // Every file that is mounted is there.
        for (_, service) in compose["services"]?.mapping ?? [:] {
            for volume in service["volumes"]?.array().compactMap(\.string) ?? [] where volume.hasPrefix(".") {
                let path = "Deploy/Compose/" + volume.prefix { $0 != ":" }
                #expect(FileManager.default.fileExists(atPath: Self.root.appendingPathComponent(path).path), "\(path)")
            }
        }
        let prometheus = try Self.text("Deploy/Compose/prometheus.yaml")
        #expect(prometheus.contains("gateway:\(configuration.admin.port)"))
    }

    @Test func `the image listens where the configurations do, and has what the executable needs`() async throws {
        let dockerfile = try Self.text("Deploy/Dockerfile")
        let exposed = try #require(
            dockerfile.firstMatch(of: /EXPOSE ([0-9 ]+)/)?.1.split(separator: " ").compactMap { Int($0) })
        var used: Set<Int> = []
        for (_, workload) in try await workloads() { used.formUnion(workload.ports.values) }
        #expect(used.isSubset(of: exposed))
        #expect(dockerfile.contains("libcurl4 ca-certificates"))
        #expect(dockerfile.contains("libexec/swift-backtrace-static"))
    }

    // MARK: systemd

    @Test func `the unit gives time to drain, and hands on the secrets`() throws {
        let unit = try Self.text("Deploy/systemd/skillgate.service")
        let seconds = unit.firstMatch(of: /TimeoutStopSec=(\d+)s/).flatMap { Int($0.1) }
        Self.expectTimeToDrain(seconds, GatewayConfiguration(), "skillgate.service")
        #expect(unit.contains("RestartPreventExitStatus=64"))
        #expect(unit.contains("LoadCredential=weather:"))
    }
}
