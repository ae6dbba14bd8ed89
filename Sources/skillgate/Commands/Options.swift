import ArgumentParser

struct Options: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case yaml
        case markdown
        case jsonSchema = "json-schema"
    }

    static let configuration = CommandConfiguration(
        abstract:
            "Prints every option of a configuration: as a file to copy from, as a table, or as a JSON Schema for editors."
    )

    @Option(help: "\(Format.allCases.map(\.rawValue).joined(separator: ", ")).")
    var format = Format.yaml

    func run() throws {
        print(try format.text(GatewayConfiguration.optionDescriptions), terminator: "")
    }
}

extension Options.Format {
    func text(_ options: [OptionDescription]) throws -> String {
        switch self {
        case .yaml: ReferenceFile.yaml(options)
        case .markdown: OptionTable.markdown(options)
        case .jsonSchema: try JSONSchema.document(options)
        }
    }
}
