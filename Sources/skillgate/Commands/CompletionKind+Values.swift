import ArgumentParser
import GatewayCore

extension CompletionKind {
    /// A configuration file.
    static var configuration: CompletionKind { .file(extensions: ["yaml", "yml", "json"]) }
    static var regions: CompletionKind { .list(Region.allCases.map(\.name)) }
}
