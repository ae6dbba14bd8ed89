import NIOCore

/// Keeps refusals, which anybody can cause as fast as a network carries them, from flooding a log: of those that are alike within a
/// window, the first has a line of its own, and the others have one together when the window ends.
///
/// Pure: whoever runs this ends the windows.
struct RefusalTally {
    /// What makes refusals alike.
    struct Kind: Hashable {
        /// What was asked for; nil where only the refusal counts.
        var action: AuditLog.Action?
        var place: Peer.Network?
        var caller: Int?
        var problem: Problem
    }

    struct Entry: Equatable {
        var kind: Kind
        /// Where they came from; nil for more places than are told apart.
        var address: String?
        /// Those after the first.
        var count = 0
    }

    /// How long a window is.
    static let window = TimeAmount.seconds(10)
    /// Kinds that are told apart; the places of more are not.
    private static let maximumKinds = 1024

    private var entries: [Kind: Entry] = [:]

    var isEmpty: Bool { entries.isEmpty }

    /// Counts a refusal; true if it is the first of its kind and has a line of its own.
    mutating func isFirst(_ kind: Kind, address: @autoclosure () -> String) -> Bool {
        var kind = kind
        var text: String?
        if entries[kind] == nil {
            if entries.count >= Self.maximumKinds {
                kind.place = nil
            } else {
                text = address()
            }
        }
        if entries[kind] != nil {
            entries[kind]?.count += 1
            return false
        }
        entries[kind] = Entry(kind: kind, address: text)
        return true
    }

    /// The window is over: those of which there was more than one.
    mutating func windowEnded() -> [Entry] {
        defer { entries.removeAll(keepingCapacity: true) }
        return entries.values.filter { $0.count > 0 }
    }
}
