extension DecodingError {
    /// What is wrong and where, for people.
    package var inWords: String {
        switch self {
        case .typeMismatch(let type, let context): "\(Self.place(context)) is no \(Self.name(of: type))"
        case .valueNotFound(_, let context): "\(Self.place(context)) has no value"
        case .keyNotFound(let key, let context): "\(Self.place(context)) has no member `\(key.stringValue)`"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty
                ? "it cannot be read as a mapping of settings" : "\(Self.place(context)) has a value that is not known"
        @unknown default: "\(self)"
        }
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "text"
        case is Int.Type: "integer"
        case is Double.Type: "number"
        case is Bool.Type: "true or false"
        case is [Any].Type: "list"
        default: "mapping"
        }
    }

    private static func place(_ context: Context) -> String {
        context.codingPath.isEmpty
            ? "the content" : "`\(context.codingPath.map(\.stringValue).joined(separator: "."))`"
    }
}
