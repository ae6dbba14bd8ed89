/// Values by identifiers that name a place in an array: what a dictionary would hash for is looked up at once.
struct SlotMap<Value> {
    private var entries: [(id: Int, value: Value)?] = []
    private(set) var count = 0

    init() {}

    var isEmpty: Bool { count == 0 }
    var values: [Value] { entries.compactMap { $0?.value } }

    /// The identifiers whose values are so.
    func identifiers(where isWanted: (Value) -> Bool) -> [Int] {
        entries.compactMap { $0.flatMap { isWanted($0.value) ? $0.id : nil } }
    }

    /// Nil for an identifier whose place is empty, or another's by now.
    subscript(id: Int) -> Value? {
        get {
            let slot = SlotIdentifiers.slot(of: id)
            guard slot < entries.count, let entry = entries[slot], entry.id == id else { return nil }
            return entry.value
        }
        set {
            let slot = SlotIdentifiers.slot(of: id)
            if let newValue {
                while slot >= entries.count { entries.append(nil) }
                if entries[slot] == nil { count += 1 }
                entries[slot] = (id, newValue)
            } else if slot < entries.count, entries[slot]?.id == id {
                entries[slot] = nil
                count -= 1
            }
        }
    }

    /// Takes the value out; nil if it is not there.
    mutating func removeValue(forKey id: Int) -> Value? {
        let value = self[id]
        self[id] = nil
        return value
    }
}

extension SlotMap: Sendable where Value: Sendable {}

/// Identifiers for `SlotMap`: a place that is used again, and a number that is not.
struct SlotIdentifiers: Sendable {
    private static let slotBits = 16

    private var free: [Int] = []
    private var slots = 0
    private var taken = 0

    static func slot(of id: Int) -> Int { id & (1 << slotBits - 1) }

    /// There are 65,536 places at once; pools are far smaller.
    mutating func take() -> Int {
        taken += 1
        let slot = free.popLast() ?? slots
        if slot == slots { slots += 1 }
        return taken << Self.slotBits | slot
    }

    mutating func release(_ id: Int) {
        free.append(Self.slot(of: id))
    }
}
