/// Finds the slots of records by their scopes: open addressing, linear probing, deletion by shifting back.
///
/// Each place holds the lower half of its scope's placement beside the slot. So looking for a record that there is not, which is
/// what every new message does, reaches into no other record's memory, and neither does growing: records are cold, and each of
/// them costs a miss in every cache.
struct IdempotencyRecordIndex {
    typealias Slot = UInt32

    /// In bytes, on average: between three eighths and three quarters of the places are taken.
    static let bytesPerRecord = 2 * MemoryLayout<Place>.stride

    private struct Place {
        /// No record has this slot.
        static let empty = Place(slot: .max, placement: 0)

        var slot: Slot
        var placement: UInt32

        var isEmpty: Bool { slot == .max }
    }

    /// A power of two long, at most three quarters full.
    private var places = ContiguousArray<Place>(repeating: .empty, count: 64)
    private var mask: Int { places.count - 1 }
    private var count = 0

    func slot(at position: Int) -> Slot { places[position].slot }

    /// - Parameter isOf: whether the record in a slot is that of the scope; asked where their placements are equal.
    func position(of scope: IdempotencyScope, where isOf: (Slot) -> Bool) -> Int? {
        let placement = UInt32(truncatingIfNeeded: scope.placement)
        var position = home(placement)
        while !places[position].isEmpty {
            let place = places[position]
            if place.placement == placement && isOf(place.slot) { return position }
            position = (position + 1) & mask
        }
        return nil
    }

    /// - Parameter scope: that has no place yet.
    mutating func insert(_ slot: Slot, _ scope: IdempotencyScope) {
        reserve(count + 1)
        put(Place(slot: slot, placement: UInt32(truncatingIfNeeded: scope.placement)))
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

    /// Makes room for so many records, so that it need not grow while they come.
    mutating func reserve(_ records: Int) {
        guard records * 4 > places.count * 3 else { return }
        var length = places.count
        while records * 4 > length * 3 { length *= 2 }
        let old = places
        places = ContiguousArray(repeating: .empty, count: length)
        for place in old where !place.isEmpty { put(place) }
    }

    private mutating func put(_ place: Place) {
        var position = home(place.placement)
        while !places[position].isEmpty { position = (position + 1) & mask }
        places[position] = place
    }

    private func home(_ placement: UInt32) -> Int { Int(placement) & mask }
}
