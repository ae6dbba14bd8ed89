extension DecodingError {
    /// What is wrong and where, for people.
    public var inWords: String {
        switch self {
        case .typeMismatch(let type, let context): "\(Self.place(context)) is no \(type)"
        case .valueNotFound(_, let context): "\(Self.place(context)) has no value"
        case .keyNotFound(let key, let context): "\(Self.place(context)) has no member `\(key.stringValue)`"
        case .dataCorrupted(let context): "\(Self.place(context)): \(context.debugDescription)"
        @unknown default: "\(self)"
        }
    }

    private static func place(_ context: Context) -> String {
        context.codingPath.isEmpty
            ? "the content" : "`\(context.codingPath.map(\.stringValue).joined(separator: "."))`"
    }
}
