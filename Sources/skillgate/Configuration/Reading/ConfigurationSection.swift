import Yams

/// One mapping of the document. Members are asked for by name; `close` reports those nobody asked for.
final class ConfigurationSection {
    let reader: ConfigurationReader
    let path: [String]
    let mark: Mark?
    private let mapping: Node.Mapping?
    private var known: [String] = []
    /// For sections in which a secret may have been written by mistake.
    var hidesMemberNames = false

    init(_ mapping: Node.Mapping?, at mark: Mark?, path: [String], reader: ConfigurationReader) {
        self.mapping = mapping
        self.mark = mark
        self.path = path
        self.reader = reader
    }

    /// How the section is called in messages.
    var title: String {
        path.reduce(into: "") { title, name in
            title += Int(name) == nil ? (title.isEmpty ? name : ".\(name)") : "[\(name)]"
        }
    }

    func has(_ name: String) -> Bool { node(name) != nil }

    func has(anyOf names: [String]) -> Bool { names.contains(where: has) }

    func mark(of name: String) -> Mark? { node(name)?.mark ?? mark }

    /// Of the element of a list that is written so.
    func mark(of element: String, in name: String) -> Mark? {
        node(name)?.sequence?.first { $0.scalar?.string == element }?.mark ?? mark(of: name)
    }

    func report(_ text: String, at name: String? = nil) {
        reader.report(text, at: name.flatMap { mark(of: $0) } ?? mark)
    }

    /// Notes something that depends on the machine the gateway is to run on: asked by the commands, not by whoever reads a configuration
    /// for another machine.
    ///
    /// - Parameter check: what is wrong here; nil if nothing is.
    func checkHere(at name: String, _ check: @escaping @Sendable () -> String?) {
        reader.checkHere(at: mark(of: name), check)
    }

    // MARK: Scalars

    /// The member's value, or nil where it is missing or wrong; what is wrong is noted.
    func value<Value>(_ name: String, _ kind: ConfigurationValue<Value>) -> Value? {
        if let (text, place) = reader.override(of: path + [name]) {
            _ = node(name)
            guard let value = kind.parse(text) else {
                reader.report(kind.mistake(in: text), at: place)
                return nil
            }
            return value
        }
        guard let node = node(name) else { return nil }
        guard let scalar = node.scalar, !Self.isNull(node) else {
            reader.report("`\(name)` is not a single value; expected \(kind.expected)", at: node.mark)
            return nil
        }
        guard let value = kind.parse(scalar.string) else {
            reader.report(kind.mistake(in: scalar.string, of: "`\(name)`"), at: node.mark)
            return nil
        }
        return value
    }

    func required<Value>(_ name: String, _ kind: ConfigurationValue<Value>) -> Value? {
        let before = reader.problems.count
        let value = value(name, kind)
        if value == nil && reader.problems.count == before { reportMissing(name, expected: kind.expected) }
        return value
    }

    func reportMissing(_ name: String, expected: String) {
        report("`\(name)` is missing\(path.isEmpty ? "" : " in `\(title)`"); expected \(expected)")
    }

    // MARK: Sections and lists

    /// The members of a mapping. A missing one is read all the same, since the environment may fill it.
    @discardableResult
    func section<Result>(_ name: String, _ read: (ConfigurationSection) -> Result) -> Result {
        let node = node(name)
        var mapping: Node.Mapping?
        if let node, !Self.isNull(node) {
            mapping = node.mapping
            if mapping == nil { reader.report("`\(name)` is not a mapping", at: node.mark) }
        }
        let section = ConfigurationSection(mapping, at: node?.mark ?? mark, path: path + [name], reader: reader)
        defer { section.close() }
        return read(section)
    }

    /// The mappings of a list.
    @discardableResult
    func sections<Element>(_ name: String, _ read: (ConfigurationSection) -> Element?) -> [Element] {
        nodes(name, expected: "a list of mappings").enumerated().compactMap { index, node in
            guard let mapping = node.mapping else {
                reader.report("an element of `\(name)` is not a mapping", at: node.mark)
                return nil
            }
            let section = ConfigurationSection(
                mapping, at: node.mark, path: path + [name, String(index)], reader: reader)
            defer { section.close() }
            return read(section)
        }
    }

    /// The scalars of a list.
    func values<Value>(_ name: String, _ kind: ConfigurationValue<Value>) -> [Value] {
        nodes(name, expected: "a list").compactMap { node in
            guard let text = node.scalar?.string, let value = kind.parse(text) else {
                let what = "an element of `\(name)`"
                let mistake =
                    node.scalar.map { kind.mistake(in: $0.string, of: what) }
                    ?? "\(what) is not a single value; expected \(kind.expected)"
                reader.report(mistake, at: node.mark)
                return nil
            }
            return value
        }
    }

    /// The elements of a list, which may be of several kinds.
    ///
    /// - Parameter read: nil for an element that is none of them.
    /// - Returns: nil if there is one.
    func elements<Element>(_ name: String, expected: String, _ read: (Node) -> Element?) -> [Element]? {
        let nodes = nodes(name, expected: "a list of \(expected)")
        let elements = nodes.compactMap { node in
            let element = read(node)
            if element == nil { reader.report("an element of `\(name)` is not \(expected)", at: node.mark) }
            return element
        }
        return elements.count == nodes.count ? elements : nil
    }

    private func nodes(_ name: String, expected: String) -> [Node] {
        guard let node = node(name), !Self.isNull(node) else { return [] }
        guard let sequence = node.sequence else {
            reader.report("`\(name)` is not a list; expected \(expected)", at: node.mark)
            return []
        }
        return Array(sequence)
    }

    // MARK: Members

    private func node(_ name: String) -> Node? {
        if !known.contains(name) { known.append(name) }
        return mapping?.first { $0.key.string == name }?.value
    }

    private static func isNull(_ node: Node) -> Bool {
        node.scalar?.style == .plain && ["", "~", "null"].contains(node.scalar?.string)
    }

    /// Reports every member that was never asked for.
    func close() {
        for (key, _) in mapping ?? [:] {
            let name = key.string ?? "?"
            guard !known.contains(name) else { continue }
            let place = path.isEmpty ? "" : " in `\(title)`"
            reader.report(
                hidesMemberNames
                    ? "unknown member\(place)"
                    : "unknown member `\(name)`\(place)\(ConfigurationReader.hint(name, known))", at: key.mark)
        }
    }
}
