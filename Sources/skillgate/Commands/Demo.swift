import AlexaSimulator
import ArgumentParser
import GatewayAdmin
import GatewayCore
import Glibc
import Hummingbird
import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization
import TokenEndpointClient
import UnixSignals

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Demonstrates message forwarding with a simulated Amazon; needs no network and no account.")

    @Flag(help: "Keeps the simulator and the gateway running afterwards, until interrupted.")
    var stay = false

    func run() async throws {
        var logger = Logger(label: "skillgate.demo")
        logger.logLevel = .error

        let simulatorPort = Promised<Int>()
        // The port of the gateway, which needs the simulator's first.
        let (gatewayPort, adminPort) = (Promised<Int>(), Promised<Int>())
        let skill = SkillEndpoint(
            skillID: "demo", speed: 1,
            receipts: SkillEndpoint.Receipts(member: DemoConfiguration.receiptMember) { content in
                let url = "http://127.0.0.1:\(await gatewayPort.value)/v1/receipts"
                let response = try await HTTPTransfer("POST", url, content: content).perform()
                return (response.status, response.content)
            }, post: nil)
        let simulator = try AlexaSimulator(skill: skill).application(host: "127.0.0.1", port: 0, logger: logger) {
            port in
            simulatorPort.fulfil(port)
        }
        let simulatorServices = ServiceGroup(
            configuration: .init(services: [.init(service: simulator)], logger: logger))
        async let simulatorRun: Void = simulatorServices.run()

        let configuration = try DemoConfiguration.make(simulatorPort: await simulatorPort.value)
        let process = try await GatewayProcess(
            configuration, logger: logger, onListening: { gatewayPort.fulfil($0.first ?? 0) },
            onAdminListening: { adminPort.fulfil($0) })
        let services = ServiceGroup(
            services: process.services(), gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        async let gatewayRun: Void = services.run()

        let tour = DemoTour(
            gateway: "http://127.0.0.1:\(await gatewayPort.value)", admin: "http://127.0.0.1:\(await adminPort.value)",
            simulator: "http://127.0.0.1:\(await simulatorPort.value)")
        let isAsPromised = await tour.run()
        if stay {
            print(
                """

                Still running, until interrupted:
                  gateway    \(tour.gateway)  (API key \(DemoConfiguration.apiKey))
                  status     \(tour.admin)/
                  metrics    \(tour.admin)/metrics
                  simulator  \(tour.simulator)/_simulator
                """)
            // Into a pipe or a file it would stay in the buffer.
            fflush(nil)
        } else {
            await services.triggerGracefulShutdown()
        }
        try await gatewayRun
        await simulatorServices.triggerGracefulShutdown()
        try await simulatorRun
        if !isAsPromised { throw ExitCode(ExitStatus.software) }
    }
}

enum DemoConfiguration {
    static let apiKey = "demo-0123456789abcdef"
    /// Of the caller whose skill reports messages.
    static let newsKey = "demo-news-0123456789abcdef"
    static let receiptMember = "receipt"

    /// The configuration of the tour, read like any other.
    static func make(simulatorPort port: Int) throws -> GatewayConfiguration {
        try GatewayConfiguration(
            yaml: """
                listeners: [{address: 127.0.0.1:0}]
                admin: {address: 127.0.0.1:0}
                regions:
                  NA: {apiEndpoint: http://127.0.0.1:\(port)/na}
                  EU: {apiEndpoint: http://127.0.0.1:\(port)/eu}
                  FE: {apiEndpoint: http://127.0.0.1:\(port)/fe}
                tokenEndpoint: http://127.0.0.1:\(port)/auth/o2/token
                skills:
                  - name: weather
                    clientID: amzn1.application-oa2-client.simulator
                    clientSecret: {env: DEMO_CLIENT_SECRET}
                  - name: news
                    clientID: amzn1.application-oa2-client.simulator
                    clientSecret: {env: DEMO_CLIENT_SECRET}
                    receipts: {member: \(receiptMember)}
                receipts: {signingKeys: [{env: DEMO_SIGNING_KEY}]}
                callers:
                  - name: orders
                    apiKeys: [{env: DEMO_API_KEY}]
                    skills: [weather]
                  - name: press
                    apiKeys: [{env: DEMO_NEWS_KEY}]
                    skills: [news]
                drain: {notice: 0s}
                """,
            fileName: "demo", folder: "",
            environment: [
                "DEMO_CLIENT_SECRET": "simulator-secret", "DEMO_API_KEY": apiKey, "DEMO_NEWS_KEY": newsKey,
                "DEMO_SIGNING_KEY": "a key for the demo alone, of at least 32 bytes",
            ])
    }
}

/// A value that one task waits for and another has.
final class Promised<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiters: [CheckedContinuation<Value, Never>] = []
    }

    private let state = Mutex(State())

    func fulfil(_ value: Value) {
        let waiters = state.withLock { state in
            state.value = value
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let value = state.withLock { state in
                    if state.value == nil { state.waiters.append(continuation) }
                    return state.value
                }
                if let value { continuation.resume(returning: value) }
            }
        }
    }
}
