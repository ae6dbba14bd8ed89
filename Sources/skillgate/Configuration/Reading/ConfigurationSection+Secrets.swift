/// Secrets stand in a configuration by reference only: `{file: …}` or `{env: …}`.
extension ConfigurationSection {
    func requiredSecret(_ name: String) -> String? {
        guard has(name) else {
            reportMissing(name, expected: "{file: …} or {env: …}")
            return nil
        }
        return section(name) { $0.referencedSecret() }
    }

    func secret(_ name: String) -> String? {
        has(name) ? section(name) { $0.referencedSecret() } : nil
    }

    /// The secret that this section refers to, without the line end that editors put behind it.
    func referencedSecret() -> String? {
        let file = value("file", .text("the path of a file"))
        let variable = value("env", .text("the name of an environment variable"))
        hidesMemberNames = true
        guard (file == nil) != (variable == nil) else {
            report("`\(title)` is not a reference to a secret; expected {file: …} or {env: …}")
            return nil
        }
        guard let secret = file.map(secret(inFile:)) ?? variable.map(secret(inVariable:)) ?? nil else { return nil }
        guard !secret.isEmpty else {
            report("`\(title)` is empty")
            return nil
        }
        return secret
    }

    private func secret(inFile file: String) -> String? {
        let path = reader.path(file)
        reader.watch(path)
        do {
            return try TextFile.readSecret(path)
        } catch {
            report("`\(title)`: \(error.description)", at: "file")
            return nil
        }
    }

    private func secret(inVariable variable: String) -> String? {
        if let secret = reader.secret(inVariable: variable) { return TextFile.withoutLineEnd(secret) }
        // Whoever writes the secret itself here by mistake does not want to see it again.
        report(
            Self.isVariableName(variable)
                ? "the environment variable `\(variable)` is not set"
                : "`env` names no environment variable that is set; expected a name such as SKILL_SECRET",
            at: "env")
        return nil
    }

    private static func isVariableName(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
    }
}
