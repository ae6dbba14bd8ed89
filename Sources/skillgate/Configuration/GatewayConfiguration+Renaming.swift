extension GatewayConfiguration {
    /// What records knew callers and skills by and do not know them by any more, where something new could be the same one: keys of
    /// before would be forgotten, and messages sent twice. One sentence each.
    func renamings(since old: GatewayConfiguration) -> [String] {
        Self.renamings(
            "caller", from: old.callers.map { ($0.name, $0.recordID) }, to: callers.map { ($0.name, $0.recordID) })
            + Self.renamings(
                "skill", from: old.skills.map { ($0.name, $0.recordID) }, to: skills.map { ($0.name, $0.recordID) })
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
