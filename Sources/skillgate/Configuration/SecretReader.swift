/// Reads secrets, which stand in a configuration by reference only: `{file: …}` or `{env: …}`.
struct SecretReader {
    /// What relative paths are relative to.
    let folder: String

    func path(_ text: String) -> String {
        text.hasPrefix("/") || folder.isEmpty ? text : "\(folder)/\(text)"
    }

    func required(_ name: String, in section: ConfigurationSection) -> String? {
        guard section.has(name) else {
            section.report("`\(name)` is missing in `\(section.title)`; expected {file: …} or {env: …}")
            return nil
        }
        return section.section(name) { read($0) }
    }

    func optional(_ name: String, in section: ConfigurationSection) -> String? {
        section.optionalSection(name) { read($0) }
    }

    private static func isVariableName(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }

    /// The secret a reference leads to, without the line end that editors put behind it.
    func read(_ reference: ConfigurationSection) -> String? {
        let file = reference.value("file", .text("the path of a file"))
        let variable = reference.value("env", .text("the name of an environment variable"))
        reference.hidesMemberNames = true
        guard (file == nil) != (variable == nil) else {
            reference.report("`\(reference.title)` is not a reference to a secret; expected {file: …} or {env: …}")
            return nil
        }
        let secret: String
        if let file {
            reference.reader.watch(path(file))
            do {
                secret = try TextFile.readSecret(path(file))
            } catch {
                reference.report("`\(reference.title)`: \(error.description)", at: "file")
                return nil
            }
        } else {
            guard let value = variable.flatMap({ reference.reader.secret(inVariable: $0) }) else {
                // Whoever writes the secret itself here by mistake does not want to see it again.
                let isName = variable.map(Self.isVariableName) ?? false
                reference.report(
                    isName
                        ? "the environment variable `\(variable ?? "")` is not set"
                        : "`env` names no environment variable that is set; expected a name such as SKILL_SECRET",
                    at: "env")
                return nil
            }
            secret = TextFile.withoutLineEnd(value)
        }
        guard !secret.isEmpty else {
            reference.report("`\(reference.title)` is empty")
            return nil
        }
        return secret
    }
}
