/// A file of entries, in the order of their numbers. It is written from the front, sealed when it is full, and never changed.
///
/// ```
///  0  "skillgate records 1\n", zeros           40  made at, Unix time in ms
/// 32  stream (who writes it)                   48  number of the first change that may be in it
/// 36  0                                        56  checksum of what is before (CRC-32C), 0
/// ```
package struct RecordSegment: Equatable, Sendable {
    static let headerBytes = 64
    private static let name = "skillgate records "
    private static let version = "1"
    private static let magic = Array("\(name)\(version)\n".utf8)

    /// Whether it begins like a segment of another version.
    static func isOfAnotherVersion(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.starts(with: name.utf8) && !bytes.starts(with: magic)
    }

    /// Which of the process's writers wrote it.
    package var stream: UInt32
    package var firstNumber: UInt64
    /// Unix time, in milliseconds.
    package var made: Int64
    /// Whether nobody was told of an entry before it was synced, and marks say how much was.
    package var isSynced = false

    private static let syncedSuffix = ".sync.log"

    /// `records-STREAM-NUMBER.log`, or `.sync.log`; the number in hexadecimal with 16 digits, so that names sort as segments do.
    package var fileName: String {
        let digits = String(firstNumber, radix: 16)
        let suffix = isSynced ? Self.syncedSuffix : ".log"
        return "records-\(stream)-\(String(repeating: "0", count: 16 - digits.count))\(digits)\(suffix)"
    }

    static func isSynced(_ name: String) -> Bool { name.hasSuffix(syncedSuffix) }

    /// For a file that is rewritten after its header was damaged.
    init(named name: String, firstNumber: UInt64) {
        self.init(stream: Self.stream(ofFile: name), firstNumber: firstNumber, made: 0)
    }

    init(stream: UInt32, firstNumber: UInt64, made: Int64, isSynced: Bool = false) {
        self.stream = stream
        self.firstNumber = firstNumber
        self.made = made
        self.isSynced = isSynced
    }

    /// As its name says.
    static func stream(ofFile name: String) -> UInt32 {
        name.split(separator: "-").dropFirst().first.flatMap { UInt32($0) } ?? 0
    }

    /// Other files are none of ours, whatever is in them.
    package static func isFileName(_ name: String) -> Bool {
        name.wholeMatch(of: /records-[0-9]{1,9}-[0-9a-f]{16}(\.sync)?\.log/) != nil
    }

    /// Whether this is the beginning of a header.
    static func mayBegin(_ bytes: [UInt8]) -> Bool {
        let known = magic + [UInt8](repeating: 0, count: 32 - magic.count)
        return zip(bytes, known).allSatisfy { $0 == $1 }
    }

    func header() -> [UInt8] {
        var bytes = Self.magic + [UInt8](repeating: 0, count: 32 - Self.magic.count)
        bytes.appendWord(UInt64(stream))
        bytes.appendWord(UInt64(bitPattern: made))
        bytes.appendWord(firstNumber)
        let checksum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
        bytes.appendWord(UInt64(checksum))
        return bytes
    }
}

/// What is wrong with a segment, other than that its last entry was not written whole.
package struct SegmentDamage: Error, Equatable {
    /// In bytes; nil where the file could not be read at all.
    package var offset: Int?
    package var reason: String
}

/// The entries of a segment, one after the other.
package struct SegmentReader {
    package enum End: Equatable, Sendable {
        /// Nothing will be added to it.
        case sealed
        /// Whoever wrote it has ended, or goes on.
        case open
        /// What is behind this offset was not written whole.
        case torn(at: Int)
    }

    private let bytes: [UInt8]
    /// As `RecordSegment.isSynced`.
    private let isSynced: Bool
    private var offset = RecordSegment.headerBytes
    package private(set) var count = 0
    /// Known once there is no further entry.
    package private(set) var end: End?

    /// - Parameter name: of the file.
    /// - Returns: nil for a file whose header was not written whole, and in which there is nothing else that counts.
    package init?(_ bytes: [UInt8], name: String) throws(SegmentDamage) {
        self.bytes = bytes
        isSynced = RecordSegment.isSynced(name)
        guard bytes.withUnsafeBytes(Self.hasHeader) else {
            if bytes.count >= RecordSegment.headerBytes, bytes.withUnsafeBytes(RecordSegment.isOfAnotherVersion) {
                throw SegmentDamage(offset: 0, reason: "another version of Skillgate wrote it")
            }
            // A process that is killed while it begins a file leaves the beginning of a header.
            guard bytes.count < RecordSegment.headerBytes && RecordSegment.mayBegin(bytes) || isUnsynced(0) else {
                throw SegmentDamage(offset: 0, reason: "its header is damaged")
            }
            return nil
        }
    }

    /// Reads on behind a header that is damaged.
    init(behindHeaderOf bytes: [UInt8]) {
        self.bytes = bytes
        isSynced = false
        offset = min(bytes.count, RecordSegment.headerBytes)
    }

    private static func hasHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= RecordSegment.headerBytes else { return false }
        let segment = RecordSegment(
            stream: UInt32(truncatingIfNeeded: bytes.word(4)), firstNumber: bytes.word(6),
            made: Int64(bitPattern: bytes.word(5)))
        return segment.header().elementsEqual(bytes[..<RecordSegment.headerBytes])
    }

    /// The next entry; nil at the end.
    package mutating func next() throws(SegmentDamage) -> RecordEntry? {
        guard end == nil else { return nil }
        var parsed = self.parsed
        while case .mark = parsed {
            offset += RecordEntry.sealBytes
            parsed = self.parsed
        }
        switch parsed {
        case .entry(let entry, let length):
            offset += length
            count += 1
            return entry
        case .mark: return nil
        case .seal(let entries):
            guard entries == count, offset + RecordEntry.sealBytes == bytes.count else {
                throw SegmentDamage(offset: offset, reason: "the seal does not fit what is before or behind it")
            }
            end = .sealed
        case nil:
            guard offset == bytes.count || isUnsynced(offset) || isBeginningOfEntry else {
                throw SegmentDamage(offset: offset, reason: "the entry there is damaged")
            }
            end = offset == bytes.count ? .open : .torn(at: offset)
        }
        return nil
    }

    private var parsed: RecordEntry.Parsed? { bytes.withUnsafeBytes { RecordEntry.parse($0, at: offset) } }

    /// Whether what is left is the beginning of one entry, and nothing else: what a process leaves that is killed while it writes. Where a
    /// whole entry follows, it is the length that is damaged.
    private var isBeginningOfEntry: Bool {
        bytes.withUnsafeBytes { bytes in
            RecordEntry.mayBegin(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
                && stride(from: offset + 8, to: bytes.count, by: 8).allSatisfy {
                    RecordEntry.parse(bytes, at: $0) == nil
                }
        }
    }

    /// Whether nobody was told of what is at this offset and behind it, since it was not synced. Then any part of it may be missing.
    private func isUnsynced(_ offset: Int) -> Bool {
        guard isSynced else { return false }
        return bytes.withUnsafeBytes { bytes in
            stride(from: RecordSegment.headerBytes, to: bytes.count, by: 8).allSatisfy { place in
                guard case .mark(let synced) = RecordEntry.parse(bytes, at: place) else { return true }
                return offset >= synced
            }
        }
    }

    /// Goes on behind what is damaged, at the next entry that is whole.
    package mutating func skipDamage() {
        offset += 8
        while offset < bytes.count, bytes.withUnsafeBytes({ RecordEntry.parse($0, at: offset) }) == nil { offset += 8 }
        offset = min(offset, bytes.count)
    }
}
