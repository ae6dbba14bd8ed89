/// The options as a table in Markdown: that of `Docs/Configuration.md`.
enum OptionTable {
    static func markdown(_ options: [OptionDescription]) -> String {
        let header = "| option | type, default | change | meaning |\n|---|---|---|---|\n"
        return header + rows(options, prefix: "", reloads: false).joined()
    }

    private static func rows(_ options: [OptionDescription], prefix: String, reloads: Bool) -> [String] {
        options.flatMap { option in
            let reloads = reloads || option.reloads
            switch option.content {
            case .section(let members):
                return rows(members, prefix: "\(prefix)\(option.name).", reloads: reloads)
            case .list(let members):
                return rows(members, prefix: "\(prefix)\(option.name)[].", reloads: reloads)
            case .value(let type, _):
                let change = reloads ? "reloaded" : "restart"
                return [
                    "| `\(prefix)\(option.name)` | \(type), \(defaultText(of: option)) | \(change) | \(option.help) |\n"
                ]
            }
        }
    }

    private static func defaultText(of option: OptionDescription) -> String {
        if option.isRequired { return "required" }
        return option.default.map { "`\($0)`" } ?? option.otherwise ?? "optional"
    }
}
