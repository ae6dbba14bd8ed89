import CPrefetch

/// Finds the slots of records by their scopes: open addressing, linear probing, deletion by shifting back.
///
/// Each place holds the lower half of its scope's placement beside the slot. So looking for a record that there is not, which is
/// what every new message does, reaches into no other record's memory, and neither does growing: records are cold, and each of
/// them costs a miss in every cache.
///
/// It has parts, each of which grows by itself: a whole one of a million records would hold everybody up while it does.
struct IdempotencyRecordIndex {
    typealias Slot = UInt32

    /// In bytes, on average: between three eighths and three quarters of the places are taken.
    static let bytesPerRecord = 2 * MemoryLayout<Place>.stride

    /// Where a scope stands, until the next change.
    struct Position: Equatable {
        fileprivate var part: Int
        fileprivate var offset: Int
    }

    fileprivate struct Place {
        /// No record has this slot.
        static let empty = Place(slot: .max, placement: 0)

        var slot: Slot
        var placement: UInt32

        var isEmpty: Bool { slot == .max }
    }

    private var parts: ContiguousArray<Part>

    /// - Parameter parts: a power of two.
    init(parts: Int) {
        precondition(parts.nonzeroBitCount == 1, "not a power of two")
        self.parts = ContiguousArray(repeating: Part(), count: parts)
    }

    func slot(at position: Position) -> Slot { parts[position.part].places[position.offset].slot }

    /// - Parameter isOf: whether the record in a slot is that of the scope; asked where their placements are equal.
    func position(of scope: IdempotencyScope, where isOf: (Slot) -> Bool) -> Position? {
        let part = part(of: scope)
        return parts[part].position(of: Self.placement(scope), where: isOf).map { Position(part: part, offset: $0) }
    }

    /// Has the processor fetch where `scope` is looked for.
    func prefetch(_ scope: IdempotencyScope) { parts[part(of: scope)].prefetch(Self.placement(scope)) }

    /// - Parameter scope: that has no place yet.
    mutating func insert(_ slot: Slot, _ scope: IdempotencyScope) {
        parts[part(of: scope)].insert(Place(slot: slot, placement: Self.placement(scope)))
    }

    mutating func remove(at position: Position) { parts[position.part].remove(at: position.offset) }

    /// Makes room for so many records, so that it hardly grows while they come.
    mutating func reserve(_ records: Int) {
        for part in parts.indices { parts[part].reserve(records / parts.count) }
    }

    private func part(of scope: IdempotencyScope) -> Int { Int(scope.partBits) & (parts.count - 1) }

    private static func placement(_ scope: IdempotencyScope) -> UInt32 { scope.placeBits }
}

extension IdempotencyRecordIndex {
    fileprivate struct Part {
        /// A power of two long, at most three quarters full.
        private(set) var places = ContiguousArray<Place>(repeating: .empty, count: 64)
        /// The length of `places` less one. Kept here, since an array's own length lies with its elements, which no cache holds.
        private var mask = 63
        private var count = 0

        func position(of placement: UInt32, where isOf: (Slot) -> Bool) -> Int? {
            var position = home(placement)
            while !places[position].isEmpty {
                let place = places[position]
                if place.placement == placement && isOf(place.slot) { return position }
                position = (position + 1) & mask
            }
            return nil
        }

        func prefetch(_ placement: UInt32) {
            let home = home(placement)
            places.withUnsafeBufferPointer { places in
                guard let first = places.baseAddress else { return }
                skillgate_prefetch(first + home)
                // The array's length, which every access asks for, lies before its elements.
                skillgate_prefetch(first - 1)
            }
        }

        mutating func insert(_ place: Place) {
            reserve(count + 1)
            put(place)
            count += 1
        }

        mutating func remove(at removed: Int) {
            count -= 1
            var hole = removed
            var position = (removed + 1) & mask
            while !places[position].isEmpty {
                let distance = (position - home(places[position].placement)) & mask
                if distance >= (position - hole) & mask {
                    places[hole] = places[position]
                    hole = position
                }
                position = (position + 1) & mask
            }
            places[hole] = .empty
        }

        mutating func reserve(_ records: Int) {
            guard records * 4 > places.count * 3 else { return }
            var length = places.count
            while records * 4 > length * 3 { length *= 2 }
            let old = places
            places = ContiguousArray(repeating: .empty, count: length)
            mask = length - 1
            for place in old where !place.isEmpty { put(place) }
        }

        private mutating func put(_ place: Place) {
            var position = home(place.placement)
            while !places[position].isEmpty { position = (position + 1) & mask }
            places[position] = place
        }

        private func home(_ placement: UInt32) -> Int { Int(placement) & mask }
    }
}
