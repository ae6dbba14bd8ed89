import GatewayCore
import GatewayServer
import Yams

extension GatewayConfiguration {
    private enum KeyPolicy: String, CaseIterable { case optional, required }

    mutating func readCallers(_ root: ConfigurationSection, _ secrets: SecretReader) {
        var names: Set<String> = ["anonymous", "none"]
        var owners: [APIKeyDigest: String] = [:]
        callers = root.sections("callers") { section in
            let name = section.required("name", .name)
            if let name, !names.insert(name).inserted {
                section.report("the name `\(name)` is taken", at: "name")
            }
            let keys = readKeys(section, secrets)
            for key in keys {
                if let owner = owners[key], owner != name {
                    section.report("an API key of this caller belongs to `\(owner)`, too", at: "apiKeys")
                }
                owners[key] = name
            }
            var caller = CallerConfiguration(name: name ?? "", keys: keys, skills: readSkillNames(section))
            if section.has("regions") {
                caller.regions = Set(section.values("regions", .region).map(\.value))
            }
            caller.requiresIdempotencyKey =
                section.value("idempotencyKey", ConfigurationValue<KeyPolicy>.choice) == .required
            caller.unknownOutcome = section.value("unknownOutcome", .choice, default: caller.unknownOutcome)
            return caller
        }
        readAnonymousCaller(root)
        if callers.isEmpty && !root.has("callers") {
            root.report("`callers` is missing; expected a list of at least one caller, or `anonymousCaller`")
        }
    }

    private mutating func readAnonymousCaller(_ root: ConfigurationSection) {
        root.optionalSection("anonymousCaller") { section in
            if let listener = listeners.first(where: { !APIEndpoint.isLoopback(host: $0.host) }) {
                section.report(
                    "`anonymousCaller` lets anybody send who reaches \(listener.host):\(listener.port); expected "
                        + "listeners on loopback addresses only")
            }
            anonymousCaller = callers.count
            callers.append(CallerConfiguration(name: "anonymous", keys: [], skills: readSkillNames(section)))
        }
    }

    private func readSkillNames(_ section: ConfigurationSection) -> [Int] {
        guard section.has("skills") else {
            section.report("`skills` is missing in `\(section.title)`; expected a list of skill names")
            return []
        }
        return section.values("skills", .name).compactMap { name, mark in
            guard let index = skills.firstIndex(where: { $0.name == name }) else {
                let hint = ConfigurationReader.hint(name, skills.map(\.name))
                section.reader.report("there is no skill `\(name)`\(hint)", at: mark)
                return nil
            }
            return index
        }
    }

    private func readKeys(_ section: ConfigurationSection, _ secrets: SecretReader) -> [APIKeyDigest] {
        guard section.has("apiKeys") else {
            section.report(
                "`apiKeys` is missing in `\(section.title)`; expected a list of {file: …}, {env: …} or "
                    + "{sha256: …}")
            return []
        }
        return section.sections("apiKeys") { key in
            let hash = key.value(
                "sha256", .init(expected: "64 hexadecimal digits") { APIKeyDigest(hexadecimal: $0) })
            if key.has("sha256") { return hash }
            guard let text = secrets.read(key) else { return nil }
            guard (16...1024).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                key.report("the API key is not 16 to 1024 visible ASCII characters")
                return nil
            }
            return APIKeyDigest(of: text)
        }
    }
}

extension APIKeyDigest {
    init?(hexadecimal text: String) {
        let digits = text.compactMap(\.hexDigitValue)
        guard text.utf8.count == 64, digits.count == 64 else { return nil }
        self.init(digest: stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
    }
}
