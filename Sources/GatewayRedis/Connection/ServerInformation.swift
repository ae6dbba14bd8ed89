/// The reply to `INFO`: lines of `name:value`.
struct ServerInformation {
    private var values: [Substring: Substring] = [:]

    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            values[line[..<colon]] = line[line.index(after: colon)...]
        }
    }

    subscript(name: String) -> String? { values[Substring(name)].map(String.init) }
}
