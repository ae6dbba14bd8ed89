import CPrefetch
import NIOCore

/// The records of one shard, packed: about 120 bytes each with their place in the index.
///
/// Records lie in chunks that never move; an index finds them. Held records, and the settled
/// ones of each caller, form a list in the order in which they expire; those that live shorter than others form lists of their
/// own for each caller. Nearly always that is the order in which they come, so that neither expiry nor eviction needs a scan.
struct IdempotencyRecordTable {
    /// In bytes, index included, for turning a limit in bytes into one in records.
    static let bytesPerRecord =
        MemoryLayout<PackedRecord>.stride + MemoryLayout<Slot>.stride + IdempotencyRecordIndex.bytesPerRecord

    typealias Slot = IdempotencyRecordIndex.Slot
    private static let none = Slot.max

    private struct AgeList {
        var oldest = none
        var newest = none
        /// Of the oldest: looked at for every claim, so it is kept where it is at hand.
        var oldestExpires = NIODeadline.distantFuture
    }

    struct Counts: Equatable {
        var sending = 0
        var unknown = 0
        var accepted = 0

        var all: Int { sending + unknown + accepted }
    }

    private static let chunkLength = 512
    private static let longestWalk = 4096
    private var chunks: [ContiguousArray<PackedRecord>] = []
    /// The last slot that was given back; each knows the one before it as its next.
    private var freed = none
    /// Slots from here on were never used.
    private var unused: Slot = 0
    private var index: IdempotencyRecordIndex
    private var held = AgeList()
    /// The brief ones, by caller: how long they live is the caller's.
    private var heldBriefly: [AgeList] = []
    /// By caller, two places each: the usual ones, and the brief ones.
    private var settled: [AgeList] = []
    /// Records that were accepted so far.
    private var settledCount: UInt64 = 0
    /// The caller whose list is looked at next for what has expired: those who have gone quiet take up no room for ever.
    private var nextExpiry = 0
    /// Request ids that are no UUID, by slot. Empty until one comes; then there are several, since one grows all at once.
    private var texts: [[Slot: String]] = []
    private static let textParts = 256
    private(set) var counts = Counts()

    /// - Parameter indexParts: a power of two.
    init(indexParts: Int = 1) {
        index = IdempotencyRecordIndex(parts: indexParts)
    }

    /// Where a record stands, until the next change: looked up once for reading it and for replacing it, since each
    /// look-up reaches into memory that no cache holds.
    struct Place {
        fileprivate var position: IdempotencyRecordIndex.Position?

        var isEmpty: Bool { position == nil }
    }

    func place(of scope: IdempotencyScope) -> Place {
        Place(position: index.position(of: scope) { self[$0].isOf(scope) })
    }

    /// Has the processor fetch what a look-up of `scope` reads first: its place in the index.
    func prefetch(_ scope: IdempotencyScope) { index.prefetch(scope) }

    /// The record at `place`, unpacked; nil if there is none.
    func record(at place: Place) -> IdempotencyRecord? {
        place.position.map { unpack(index.slot(at: $0)) }
    }

    /// The record of `scope`, unpacked.
    func record(_ scope: IdempotencyScope) -> IdempotencyRecord? { record(at: place(of: scope)) }

    /// Whose the record at `place` is; nil if there is none.
    func caller(at place: Place) -> Int? { place.position.map { Int(self[index.slot(at: $0)].caller) } }

    /// As `IdempotencyClaim.isBrief`, of the record at `place`.
    func isBrief(at place: Place) -> Bool { place.position.map { self[index.slot(at: $0)].isBrief } ?? false }

    /// Puts `record` in the place of what was there; nil removes it.
    mutating func replace(
        _ scope: IdempotencyScope, with record: IdempotencyRecord?, of caller: Int, isBrief: Bool = false
    ) {
        replace(scope, at: place(of: scope), with: record, of: caller, isBrief: isBrief)
    }

    /// - Parameters:
    ///   - place: of `scope`.
    ///   - isLoading: records come in any order, and `sortByExpiry` follows.
    mutating func replace(
        _ scope: IdempotencyScope, at place: Place, with record: IdempotencyRecord?, of caller: Int,
        isBrief: Bool = false, isLoading: Bool = false
    ) {
        if let position = place.position {
            let slot = index.slot(at: position)
            if let record, self[slot].keepsPlace(record, of: caller, isBrief: isBrief) {
                count(self[slot].kind, -1)
                pack(record, scope, of: caller, isBrief: isBrief, into: slot)
                return count(self[slot].kind, 1)
            }
            unlink(slot)
            guard let record else {
                index.remove(at: position)
                free(slot)
                return
            }
            pack(record, scope, of: caller, isBrief: isBrief, into: slot)
            link(slot, isLoading: isLoading)
        } else if let record {
            let slot = newSlot()
            pack(record, scope, of: caller, isBrief: isBrief, into: slot)
            link(slot, isLoading: isLoading)
            index.insert(slot, scope)
        }
    }

    /// A record that was removed, and whose it was.
    struct Removed: Equatable {
        var caller: Int
        var isHeld: Bool
        var isBrief = false
        var expires: NIODeadline
    }

    /// Removes one record of `caller` whose retention has ended, or a held one; nil if there is none.
    mutating func removeExpired(of caller: Int, now: NIODeadline) -> Removed? {
        let usual = 2 * caller
        if usual < settled.count {
            if settled[usual].oldestExpires <= now { return remove(settled[usual].oldest) }
            if settled[usual + 1].oldestExpires <= now { return remove(settled[usual + 1].oldest) }
        }
        if held.oldestExpires <= now { return remove(held.oldest) }
        if caller < heldBriefly.count, heldBriefly[caller].oldestExpires <= now {
            return remove(heldBriefly[caller].oldest)
        }
        return nil
    }

    /// The same of another caller with each call.
    mutating func removeExpiredInTurn(now: NIODeadline) -> Removed? {
        nextExpiry = nextExpiry + 1 < max(settled.count / 2, heldBriefly.count) ? nextExpiry + 1 : 0
        return removeExpired(of: nextExpiry, now: now)
    }

    /// Removes the accepted record of `caller` that was settled longest ago; nil if there is none. Held records stay.
    mutating func evictOldestSettled(of caller: Int) -> Removed? {
        let usual = 2 * caller
        guard usual < settled.count else { return nil }
        let heads = [settled[usual].oldest, settled[usual + 1].oldest].filter { $0 != Self.none }
        return heads.min { self[$0].leaseEnds < self[$1].leaseEnds }.map { remove($0) }
    }

    private mutating func remove(_ slot: Slot) -> Removed {
        let record = self[slot]
        replace(record.scope, with: nil, of: Int(record.caller))
        return Removed(
            caller: Int(record.caller), isHeld: record.isHeld, isBrief: record.isBrief, expires: record.expires)
    }

    // MARK: Slots

    private subscript(slot: Slot) -> PackedRecord {
        get { chunks[Int(slot) / Self.chunkLength][Int(slot) % Self.chunkLength] }
        _modify { yield &chunks[Int(slot) / Self.chunkLength][Int(slot) % Self.chunkLength] }
    }

    private mutating func newSlot() -> Slot {
        defer { prefetch(freed == Self.none ? unused : freed) }
        if freed != Self.none {
            defer { freed = self[freed].next }
            return freed
        }
        defer { unused += 1 }
        guard unused == chunks.count * Self.chunkLength else { return unused }
        let empty = PackedRecord(
            words: (0, 0, 0, 0), fingerprint: RequestFingerprint(words: (0, 0)),
            identity: (0, 0), expires: .uptimeNanoseconds(0), leaseEnds: .uptimeNanoseconds(0), receivedAt: 0,
            previous: Self.none, next: Self.none, status: 0, caller: 0, region: 0, kind: .free, isBrief: false)
        chunks.append(ContiguousArray(repeating: empty, count: Self.chunkLength))
        return unused
    }

    /// Has the processor fetch the slot that will be asked for next.
    private mutating func prefetch(_ slot: Slot) {
        let (chunk, place) = (Int(slot) / Self.chunkLength, Int(slot) % Self.chunkLength)
        guard chunk < chunks.count else { return }
        chunks[chunk].withUnsafeMutableBufferPointer { records in
            guard let first = records.baseAddress else { return }
            let record = UnsafeRawPointer(first + place)
            skillgate_prefetch(record)
            skillgate_prefetch(record + MemoryLayout<PackedRecord>.stride - 1)
        }
    }

    private mutating func free(_ slot: Slot) {
        if self[slot].kind == .acceptedText { setText(nil, of: slot) }
        self[slot].kind = .free
        self[slot].next = freed
        freed = slot
    }

    private mutating func pack(
        _ record: IdempotencyRecord, _ scope: IdempotencyScope, of caller: Int, isBrief: Bool, into slot: Slot
    ) {
        setText(self[slot].pack(record, scope, of: caller, isBrief: isBrief), of: slot)
    }

    private mutating func setText(_ text: String?, of slot: Slot) {
        if texts.isEmpty {
            guard text != nil else { return }
            texts = Array(repeating: [:], count: Self.textParts)
        }
        texts[Int(slot) % Self.textParts][slot] = text
    }

    private func unpack(_ slot: Slot) -> IdempotencyRecord {
        let packed = self[slot]
        func accepted(_ requestID: RequestID?) -> IdempotencyRecord.State {
            .accepted(
                AcceptedResponse(
                    status: Int(packed.status),
                    region: Region(rawValue: Int(packed.region)), requestID: requestID,
                    receivedAt: packed.receivedAt == 0 ? nil : packed.receivedAt))
        }
        let state: IdempotencyRecord.State =
            switch packed.kind {
            case .sending, .resending:
                .sending(
                    owner: AttemptID(origin: packed.identity.0, number: packed.identity.1),
                    leaseEnds: packed.leaseEnds, isResend: packed.kind == .resending)
            case .acceptedUUID: accepted(.uuid(packed.identity.0, packed.identity.1))
            case .acceptedText: accepted(texts[Int(slot) % Self.textParts][slot].map(RequestID.text))
            case .acceptedWithoutID: accepted(nil)
            case .unknown, .free: .unknown
            }
        return IdempotencyRecord(fingerprint: packed.fingerprint, state: state, expires: packed.expires)
    }

    // MARK: Lists by age

    /// Puts each list into the order in which its records expire.
    mutating func sortByExpiry() {
        held = sorted(held)
        for place in heldBriefly.indices { heldBriefly[place] = sorted(heldBriefly[place]) }
        for place in settled.indices { settled[place] = sorted(settled[place]) }
    }

    private mutating func sorted(_ list: AgeList) -> AgeList {
        var slots: [Slot] = []
        var next = list.oldest
        while next != Self.none {
            slots.append(next)
            next = self[next].next
        }
        slots.sort { self[$0].expires < self[$1].expires }
        for (place, slot) in slots.enumerated() {
            self[slot].previous = place == 0 ? Self.none : slots[place - 1]
            self[slot].next = place + 1 == slots.count ? Self.none : slots[place + 1]
        }
        guard let first = slots.first, let last = slots.last else { return list }
        return AgeList(oldest: first, newest: last, oldestExpires: self[first].expires)
    }

    /// Reads what it needs and copies no record: that would wait for all that has just been written to it.
    private mutating func link(_ slot: Slot, isLoading: Bool) {
        let (kind, expires) = (self[slot].kind, self[slot].expires)
        let place = listPlace(of: slot)
        var list = list(at: place)
        // Behind all that expire no later: nearly always at the end. Records that live shorter from now on, as a configuration may
        // have it, would each pass all that came before; rather than that, they stay until some of those expire.
        var (previous, steps) = (list.newest, 0)
        while !isLoading, previous != Self.none, self[previous].expires > expires, steps < Self.longestWalk {
            (previous, steps) = (self[previous].previous, steps + 1)
        }
        let next = previous == Self.none ? list.oldest : self[previous].next
        if !kind.isHeld { settledCount += 1 }
        self[slot].stand(between: previous, next, number: kind.isHeld ? nil : settledCount)
        if previous == Self.none {
            list.oldest = slot
            list.oldestExpires = expires
        } else {
            self[previous].next = slot
        }
        if next == Self.none { list.newest = slot } else { self[next].previous = slot }
        setList(list, at: place)
        count(kind, 1)
    }

    /// Which list a record stands in.
    private enum ListPlace {
        case held
        case heldBriefly(caller: Int)
        /// A place in `settled`.
        case settled(Int)
    }

    private func listPlace(of slot: Slot) -> ListPlace {
        let (caller, isBrief) = (Int(self[slot].caller), self[slot].isBrief)
        guard self[slot].isHeld else { return .settled(2 * caller + (isBrief ? 1 : 0)) }
        return isBrief ? .heldBriefly(caller: caller) : .held
    }

    private func list(at place: ListPlace) -> AgeList {
        switch place {
        case .held: held
        case .heldBriefly(let caller): caller < heldBriefly.count ? heldBriefly[caller] : AgeList()
        case .settled(let place): place < settled.count ? settled[place] : AgeList()
        }
    }

    private mutating func setList(_ list: AgeList, at place: ListPlace) {
        switch place {
        case .held: held = list
        case .heldBriefly(let caller):
            while heldBriefly.count <= caller { heldBriefly.append(AgeList()) }
            heldBriefly[caller] = list
        case .settled(let place):
            while settled.count <= place { settled += [AgeList(), AgeList()] }
            settled[place] = list
        }
    }

    private mutating func unlink(_ slot: Slot) {
        let place = listPlace(of: slot)
        var list = list(at: place)
        let (previous, next) = (self[slot].previous, self[slot].next)
        if previous == Self.none {
            list.oldest = next
            list.oldestExpires = next == Self.none ? .distantFuture : self[next].expires
        } else {
            self[previous].next = next
        }
        if next == Self.none { list.newest = previous } else { self[next].previous = previous }
        setList(list, at: place)
        count(self[slot].kind, -1)
    }

    private mutating func count(_ kind: PackedRecord.Kind, _ change: Int) {
        switch kind {
        case .sending, .resending: counts.sending += change
        case .unknown: counts.unknown += change
        case .acceptedUUID, .acceptedText, .acceptedWithoutID: counts.accepted += change
        case .free: break
        }
    }

    /// Makes room in the index for so many records, so that it hardly grows while they come.
    mutating func reserve(_ records: Int) { index.reserve(records) }
}
