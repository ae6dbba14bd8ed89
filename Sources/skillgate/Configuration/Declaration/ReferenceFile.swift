/// The options as a file to copy from, `Config/reference.yaml`: what has a default or is required stands there, and the rest is commented out.
enum ReferenceFile {
    private static let header = """
        # yaml-language-server: $schema=skillgate.schema.json
        # Every option with its default, as `skillgate options` prints it; options that are commented out have none, and the values are
        # examples. `skillgate check --config FILE` says what is wrong with a file. Scalars can be overridden from the environment:
        # SKILLGATE_UPSTREAM_DEADLINE=5s.


        """
    private static let commentColumn = 50
    private static let lastColumn = 130

    static func yaml(_ options: [OptionDescription]) -> String {
        let parts = options.map { lines(of: $0, indentation: 0, isLive: true).joined(separator: "\n") }
        return header + parts.joined(separator: "\n\n") + "\n"
    }

    /// - Parameters:
    ///   - indentation: in columns, that of the lines once they stand in the file.
    ///   - isLive: whether the mapping around it stands there; if it is commented out, whoever comments it out does so with all
    ///     of its lines.
    private static func lines(of option: OptionDescription, indentation: Int, isLive: Bool) -> [String] {
        let isCommentedOut = isLive && !stands(option)
        let mark = isCommentedOut ? "# " : ""
        func all(_ options: [OptionDescription], indentedBy indent: Int) -> [String] {
            options.flatMap {
                lines(of: $0, indentation: indentation + mark.count + indent, isLive: isLive && !isCommentedOut)
            }
        }
        let rows: [String]
        switch option.content {
        case .value:
            let value = option.default ?? option.example ?? ""
            rows = annotated("\(option.name): \(value)", option.help, column: commentColumn - indentation - mark.count)
        case .section(let options):
            rows = ["\(option.name):"] + all(options, indentedBy: 2).map { "  " + $0 }
        case .list(let options):
            let element = all(options, indentedBy: 4)
            rows = ["\(option.name):"] + element.enumerated().map { ($0.offset == 0 ? "  - " : "    ") + $0.element }
        }
        return rows.map { mark + $0 }
    }

    /// Whether it is in the file without being commented out.
    private static func stands(_ option: OptionDescription) -> Bool {
        switch option.content {
        case .value: option.isRequired || option.default != nil || option.isExampleShown
        case .section(let members): !option.isOptionalSection && members.contains(where: stands)
        case .list: !option.isOptionalSection
        }
    }

    /// The member, and beside it its help in lines that begin in one column.
    private static func annotated(_ member: String, _ help: String, column: Int) -> [String] {
        let rows = wrapped(help, width: lastColumn - commentColumn)
        let margin = String(repeating: " ", count: column)
        let first = member.count + 2 > column ? member + "  " : member + margin.dropFirst(member.count)
        return rows.isEmpty ? [member] : rows.enumerated().map { ($0.offset == 0 ? first : margin) + "# " + $0.element }
    }

    private static func wrapped(_ text: String, width: Int) -> [String] {
        text.split(separator: " ").reduce(into: []) { lines, word in
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(String(word))
            }
        }
    }
}
