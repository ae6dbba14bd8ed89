import GatewayCore
import GatewayRedis

extension GatewayConfiguration {
    /// Which idempotency keys that are remembered under `old` would be forgotten, or belong to somebody else; a sentence each.
    func forgottenKeys(since old: GatewayConfiguration) -> [String] {
        Self.renamings(
            "caller", from: old.callers.map { ($0.name, $0.recordID) }, to: callers.map { ($0.name, $0.recordID) })
            + Self.renamings(
                "skill", from: old.skills.map { ($0.name, $0.recordID) }, to: skills.map { ($0.name, $0.recordID) })
            + credentialsOfOthers(since: old)
            + sourcesOfKeys(since: old)
            + changesOfStore(since: old.idempotency)
    }

    /// Callers that have got the credentials of another, which has others now: what they sent is remembered as the other's.
    private func credentialsOfOthers(since old: GatewayConfiguration) -> [String] {
        callers.compactMap { now in
            let before = old.callers.first { before in
                guard before.recordID != now.recordID, before.sharesCredentials(with: now) else { return false }
                let successor = callers.first { $0.recordID == before.recordID }
                return successor.map { !$0.sharesCredentials(with: before) } ?? false
            }
            return before.map { before in
                "the caller `\(now.name)` has the credentials that were those of `\(before.name)`, and not its idempotency "
                    + "keys: retries are sent again; expected `id: \(before.recordID)`"
            }
        }
    }

    /// Callers whose messages have other keys than before.
    private func sourcesOfKeys(since old: GatewayConfiguration) -> [String] {
        callers.compactMap { now in
            guard let before = old.callers.first(where: { $0.recordID == now.recordID }) else { return nil }
            if !now.idempotencyKeyFrom.starts(with: before.idempotencyKeyFrom) {
                return
                    "`idempotencyKeyFrom` of the caller `\(now.name)` is another: retries of earlier messages may have other "
                    + "keys, and are sent again then"
            }
            let isShorter = now.idempotencyKeyFrom.contains(.content) && now.contentWindow < before.contentWindow
            return isShorter ? "`contentWindow` of the caller `\(now.name)` is shorter than it was" : nil
        }
    }

    private func changesOfStore(since old: Idempotency) -> [String] {
        let sentAgain = "all idempotency keys are forgotten, and retries are sent again"
        var changes: [String] = []
        if old.kind != idempotency.kind {
            changes.append("`idempotency.store` was `\(old.kind)` and is `\(idempotency.kind)`: \(sentAgain)")
        }
        if old.kind == .file, idempotency.kind == .file, old.file.directory != idempotency.file.directory {
            changes.append("`directory` is another: unless its files are the same, \(sentAgain)")
        }
        if let before = old.redis, let now = idempotency.redis {
            if before.keyPrefix != now.keyPrefix {
                changes.append("`keyPrefix` was `\(before.keyPrefix)` and is `\(now.keyPrefix)`: \(sentAgain)")
            }
            let isKnown = before.addresses.contains { now.addresses.contains($0) }
            if !isKnown || before.database != now.database {
                changes.append("`url` names another Redis or database: unless its records are the same, \(sentAgain)")
            }
        }
        if let first = old.fingerprintKeys.first, !idempotency.fingerprintKeys.contains(first) {
            changes.append(
                "`fingerprintKeys` lacks the key that was first: retries of earlier messages get 409; expected it behind "
                    + "the new one for as long as `retention`")
        }
        return changes
    }

    private typealias Names = [(name: String, id: String)]

    private static func renamings(_ what: String, from old: Names, to new: Names) -> [String] {
        let gone = old.filter { before in !new.contains { $0.id == before.id } }
        let added = new.filter { now in !old.contains { $0.id == now.id } }
        guard !gone.isEmpty else { return [] }
        return added.map { now in
            let candidates = gone.map { "`\($0.id)`" }.joined(separator: ", ")
            return
                "the \(what) `\(now.name)` is new and \(candidates) is gone: if it was renamed, its idempotency keys "
                + "are forgotten and retries are sent again; "
                + "expected `id: \(gone.count == 1 ? gone[0].id : "THE OLD ID")` in the new one"
        }
    }
}

extension GatewayConfiguration.CallerConfiguration {
    fileprivate func sharesCredentials(with other: Self) -> Bool {
        !Set(keys).isDisjoint(with: other.keys)
            || (client != nil && client?.clientID == other.client?.clientID)
            || (certificateName != nil && certificateName == other.certificateName)
            || (token != nil && token == other.token)
    }
}
