import NIOCore

/// The fields that a peer has told to remember, newest first (RFC 7541 section 2.3.2).
struct HPACKDynamicTable {
    /// What an entry counts for besides its bytes (RFC 7541 section 4.1).
    static let overheadBytes = 32

    private struct Entry {
        /// Where the name starts, counted from the first byte that was ever stored; the value follows it.
        var start: Int
        var name: Int
        var value: Int
        var size: Int { name + value + overheadBytes }
    }

    /// Oldest first; those of entries that are gone are removed once in a while.
    var bytes: [UInt8] = []
    private var removed = 0
    private var entries = CircularBuffer<Entry>()
    private var size = 0
    /// In bytes, as entries count.
    private(set) var limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { entries.count }

    /// Where the entry's name and value stand in `bytes`; nil if there is none.
    ///
    /// - Parameter place: 0 is the newest.
    subscript(place: Int) -> (name: Range<Int>, value: Range<Int>)? {
        guard place >= 0, place < entries.count else { return nil }
        let entry = entries[entries.index(entries.endIndex, offsetBy: -1 - place)]
        let start = entry.start - removed
        return (start..<start + entry.name, start + entry.name..<start + entry.name + entry.value)
    }

    mutating func resize(to limit: Int) {
        self.limit = limit
        evict(downTo: limit)
    }

    mutating func insert(_ source: [UInt8], name: Range<Int>, value: Range<Int>) {
        guard name.count + value.count + Self.overheadBytes <= limit else { return evict(downTo: 0) }
        // A name and its value stand one behind the other there.
        source.span.extracting(name.lowerBound..<value.upperBound).withUnsafeBufferPointer {
            bytes.append(contentsOf: $0)
        }
        insertLast(name: name.count, value: value.count)
    }

    /// Inserts what has been appended to `bytes`. Evicts the oldest as far as necessary; a field that is larger than the table empties it
    /// (RFC 7541 section 4.4).
    mutating func insertLast(name: Int, value: Int) {
        let entry = Entry(start: removed + bytes.count - name - value, name: name, value: value)
        entries.append(entry)
        size += entry.size
        evict(downTo: limit)
    }

    private mutating func evict(downTo rest: Int) {
        while size > rest, let oldest = entries.popFirst() { size -= oldest.size }
        let unused = (entries.first?.start ?? removed + bytes.count) - removed
        guard unused == bytes.count || unused > max(1024, limit) else { return }
        bytes.removeSubrange(0..<unused)
        removed += unused
    }
}
