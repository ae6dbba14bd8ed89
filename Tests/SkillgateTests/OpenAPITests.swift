import Foundation
import GatewayCore
import TestSupport
import Testing
import Yams

/// The description of the API, held against the table of failures and judged by a validator.
struct OpenAPITests {
    private static let file = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Docs/openapi.yaml")

    @Test func `it is valid`() async throws {
        let python = try #require(ProcessInfo.processInfo.environment["TEST_PYTHON"])
        let validator = try RunningProcess(python, ["-m", "openapi_spec_validator", Self.file.path])
        let output = await validator.output()
        #expect(await validator.exitStatus() == 0, "\(output)")
    }

    @Test func `every type of problem is listed, and every status that one has`() throws {
        let root = try #require(try Yams.compose(yaml: String(contentsOf: Self.file, encoding: .utf8)))
        let types = root["components"]?["schemas"]?["Problem"]?["properties"]?["type"]?["enum"]?.array().compactMap(
            \.string)
        #expect(Set(types ?? []) == Set(Problem.allCases.map { "urn:skillgate:problem:\($0.row.type)" }))
        let answers = root["paths"]?["/v1/skillmessages/users/{userId}"]?["post"]?["responses"]?.mapping
        let statuses = Set((answers ?? [:]).keys.compactMap(\.string))
        for problem in Problem.allCases { #expect(statuses.contains(String(problem.row.status)), "\(problem)") }
    }

    @Test func `every type of event is listed`() throws {
        let root = try #require(try Yams.compose(yaml: String(contentsOf: Self.file, encoding: .utf8)))
        let types = root["components"]?["schemas"]?["Event"]?["properties"]?["type"]?["enum"]?.array().compactMap(
            \.string)
        #expect(
            Set(types ?? []) == Set(["skillgate.ping"] + GatewayEvent.Kind.allCases.map { "skillgate.\($0.rawValue)" }))
    }
}
