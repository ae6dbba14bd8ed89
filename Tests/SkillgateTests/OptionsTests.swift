import Foundation
import TestSupport
import Testing

@testable import skillgate

/// What is written down about the options, held against their declarations and judged by a validator.
struct OptionsTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    @Test(arguments: [
        (Options.Format.yaml, "Config/reference.yaml"), (.jsonSchema, "Config/skillgate.schema.json"),
    ])
    func `files are as the declarations say`(format: Options.Format, file: String) throws {
        let expected = try format.text(GatewayConfiguration.optionDescriptions)
        #expect(try Self.text(file) == expected, "run Deploy/options")
    }

    @Test func `the page has the table of all options`() throws {
        let page = try Self.text("Docs/Configuration.md")
        let table = OptionTable.markdown(GatewayConfiguration.optionDescriptions)
        #expect(page.contains("<!-- options -->\n\(table)<!-- end of options -->\n"), "run Deploy/options")
    }

    @Test func `each option is described, and has a default or an example`() {
        func check(_ options: [OptionDescription], in path: String) {
            for option in options {
                switch option.content {
                case .section(let members): check(members, in: "\(path)\(option.name).")
                case .list(let members): check(members, in: "\(path)\(option.name)[].")
                case .value:
                    #expect(!option.help.isEmpty && !option.help.contains("\n"), "\(path)\(option.name)")
                    #expect((option.default ?? option.example)?.isEmpty == false, "\(path)\(option.name)")
                }
            }
        }
        check(GatewayConfiguration.optionDescriptions, in: "")
    }

    /// What the validator says of a configuration; empty if it is good.
    private func mistakes(in file: String) async throws -> String {
        let python = try #require(ProcessInfo.processInfo.environment["TEST_PYTHON"])
        let script = Self.root.appendingPathComponent("Tests/EndToEndTests/Python/configuration_schema.py").path
        let schema = Self.root.appendingPathComponent("Config/skillgate.schema.json").path
        let validator = try RunningProcess(python, [script, schema, file])
        let output = await validator.output()
        #expect(await validator.exitStatus() == 0, "\(output)")
        return output
    }

    @Test(arguments: ["reference.yaml", "sidecar.yaml", "central.yaml"])
    func `the schema takes the files that are shipped`(file: String) async throws {
        #expect(try await mistakes(in: Self.root.appendingPathComponent("Config/\(file)").path) == "")
    }

    @Test(arguments: [
        ("eventLoops: 0", "eventLoops: 0 is less than the minimum of 1"),
        ("upstrem: {}", "'upstrem' was unexpected"),
        ("upstream: {deadline: 10}", "upstream.deadline: 10 is not of type 'string'"),
        ("upstream: {deadline: 10 s}", "upstream.deadline: '10 s' does not match"),
        ("discovery: on", "discovery: 'on' is not one of ['off', 'probe']"),
        ("skills: [{name: a b, clientID: c, clientSecret: {env: A}}]", "skills.0.name: 'a b' does not match"),
        ("skills: [{name: a, clientID: c}]", "skills.0: 'clientSecret' is a required property"),
        ("skills: [{name: a, clientID: c, clientSecret: text}]", "skills.0.clientSecret: 'text' is not valid"),
    ])
    func `the schema finds mistakes`(yaml: String, mistake: String) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).yaml")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(yaml.utf8).write(to: file)
        #expect(try await mistakes(in: file.path).contains(mistake))
    }
}
