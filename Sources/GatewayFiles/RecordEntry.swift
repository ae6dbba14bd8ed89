package import GatewayCore

/// What a change of one record left, as it stands in a file: little-endian, padded to words of eight bytes.
///
/// ```
///  0  checksum of what follows (CRC-32C)      48  fingerprint
///  4  length in words, kind, region, 0        64  expiry, Unix time in ms
///  8  number of the change                    72  caller (hash of its id)
/// 16  scope                                   76  status, or ms between the lease's end and the expiry
///                                             80  owner, or request id
/// ```
///
/// Of a message that its skill has reported, the request id stands at 88, and at 80 when it was reported first, as Unix time in ms.
///
/// Times are those of the wall clock, since a process that comes later has no other.
package struct RecordEntry: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        case sending(owner: AttemptID, leaseEnds: Int64, isResend: Bool)
        case unknown
        case accepted(AcceptedResponse)
        /// There is no record any more.
        case absent
    }

    /// Changes of one record are numbered in the order in which they were made.
    package var number: UInt64
    package var scope: IdempotencyScope
    package var fingerprint: RequestFingerprint
    package var caller: UInt32
    /// Unix time, in milliseconds.
    package var expires: Int64
    package var state: State

    package init(
        number: UInt64, scope: IdempotencyScope, fingerprint: RequestFingerprint, caller: UInt32, expires: Int64,
        state: State
    ) {
        self.number = number
        self.scope = scope
        self.fingerprint = fingerprint
        self.caller = caller
        self.expires = expires
        self.state = state
    }
}

extension RecordEntry {
    private enum Kind: UInt8 {
        case sending = 1, resending, unknown, acceptedUUID, acceptedText, accepted, absent, seal, mark
        case receivedUUID, receivedText, received
    }

    static let headBytes = 80
    static let sealBytes = 16
    private static let longestText = 512
    /// No process comes this far by counting; what claims to be above it is no entry.
    private static let longestNumber: UInt64 = 1 << 62

    // MARK: Writing

    /// Adds the entry to the end of `bytes`.
    func write(to bytes: inout [UInt8]) {
        let (kind, region, detail, tail) = parts
        var text: [UInt8] = []
        let tailStart = Self.headBytes + (receivedAt == nil ? 0 : 8)
        var length = tailStart
        switch tail {
        case .none: break
        case .identity: length += 16
        case .text(let value):
            // The length is told by the zeros at the end; ids hold none.
            text = Array(value.utf8.prefix(Self.longestText))
            length += (text.count + 8) & ~7
        }
        bytes.appendEntry(kind: kind.rawValue, region: region, length: length) { words in
            words.store(number, at: 1)
            words.store(scope.words.0, at: 2)
            words.store(scope.words.1, at: 3)
            words.store(scope.words.2, at: 4)
            words.store(scope.words.3, at: 5)
            words.store(fingerprint.words.0, at: 6)
            words.store(fingerprint.words.1, at: 7)
            words.store(UInt64(bitPattern: expires), at: 8)
            words.store(UInt64(caller) | UInt64(detail) << 32, at: 9)
            if let receivedAt { words.store(UInt64(bitPattern: receivedAt), at: 10) }
            switch tail {
            case .none: break
            case .identity(let high, let low):
                words.store(high, at: tailStart / 8)
                words.store(low, at: tailStart / 8 + 1)
            case .text: UnsafeMutableRawBufferPointer(rebasing: words[tailStart...]).copyBytes(from: text)
            }
        }
    }

    /// What stands behind the head.
    private enum Tail {
        case none
        case identity(UInt64, UInt64)
        case text(String)
    }

    private var receivedAt: Int64? {
        if case .accepted(let response) = state { response.receivedAt } else { nil }
    }

    private static let noRegion = UInt8.max

    private var parts: (kind: Kind, region: UInt8, detail: UInt32, Tail) {
        switch state {
        case .unknown: return (.unknown, 0, 0, .none)
        case .absent: return (.absent, 0, 0, .none)
        case .sending(let owner, let leaseEnds, let isResend):
            let lease = UInt32(clamping: expires.subtractingReportingOverflow(leaseEnds).partialValue)
            return (isResend ? .resending : .sending, 0, lease, .identity(owner.origin, owner.number))
        case .accepted(let response):
            let region = response.region.map { UInt8(clamping: $0.rawValue) } ?? Self.noRegion
            let (status, isReceived) = (UInt32(clamping: response.status), response.receivedAt != nil)
            switch response.requestID {
            case .uuid(let high, let low):
                return (isReceived ? .receivedUUID : .acceptedUUID, region, status, .identity(high, low))
            case .text(let text): return (isReceived ? .receivedText : .acceptedText, region, status, .text(text))
            case nil: return (isReceived ? .received : .accepted, region, status, .none)
            }
        }
    }

    /// Ends a segment to which nothing will be added.
    static func writeSeal(entries: Int, to bytes: inout [UInt8]) {
        bytes.appendEntry(kind: Kind.seal.rawValue, length: sealBytes) { $0.store(UInt64(clamping: entries), at: 1) }
    }

    /// Says how much of a segment is synced.
    static func writeMark(synced offset: Int, to bytes: inout [UInt8]) {
        bytes.appendEntry(kind: Kind.mark.rawValue, length: sealBytes) { $0.store(UInt64(clamping: offset), at: 1) }
    }

    // MARK: Reading

    enum Parsed: Equatable {
        case entry(RecordEntry, length: Int)
        case seal(entries: Int)
        /// What is before this offset outlived a loss of power when the mark was written.
        case mark(synced: Int)
    }

    /// Whether these bytes, less than an entry, are the beginning of one. Of a mark and an entry that are written together, too.
    static func mayBegin(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 8 else { return true }
        guard Kind(rawValue: bytes[5]) != nil, bytes[7] == 0 else { return false }
        return bytes.count < Int(bytes[4]) * 8
    }

    /// The entry that begins at `offset`; nil if there is none, or not a whole one.
    static func parse(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Parsed? {
        guard offset + sealBytes <= bytes.count, let kind = Kind(rawValue: bytes[offset + 5]) else { return nil }
        let length = Int(bytes[offset + 4]) * 8
        guard length >= (kind == .seal || kind == .mark ? sealBytes : headBytes), offset + length <= bytes.count else {
            return nil
        }
        let entry = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
        guard
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: entry[4...])) == UInt32(truncatingIfNeeded: entry.word(0))
        else { return nil }
        if kind == .mark { return length == sealBytes ? .mark(synced: Int(clamping: entry.word(1))) : nil }
        if kind == .seal { return length == sealBytes ? .seal(entries: Int(clamping: entry.word(1))) : nil }
        let (expires, detail) = (Int64(bitPattern: entry.word(8)), entry.word(9) >> 32)
        guard entry.word(1) < longestNumber, let state = state(kind, expires: expires, detail: detail, entry) else {
            return nil
        }
        return .entry(
            RecordEntry(
                number: entry.word(1),
                scope: IdempotencyScope(words: (entry.word(2), entry.word(3), entry.word(4), entry.word(5))),
                fingerprint: RequestFingerprint(words: (entry.word(6), entry.word(7))),
                caller: UInt32(truncatingIfNeeded: entry.word(9)), expires: expires, state: state),
            length: length)
    }

    private static func state(_ kind: Kind, expires: Int64, detail: UInt64, _ entry: UnsafeRawBufferPointer) -> State? {
        let isReceived = kind == .received || kind == .receivedUUID || kind == .receivedText
        let tailStart = headBytes + (isReceived ? 8 : 0)
        let hasIdentity = kind == .sending || kind == .resending || kind == .acceptedUUID || kind == .receivedUUID
        guard entry.count >= tailStart, !hasIdentity || entry.count == tailStart + 16 else { return nil }
        func accepted(_ requestID: RequestID?) -> State? {
            let region = Region(rawValue: Int(entry[6]))
            guard region != nil || entry[6] == noRegion else { return nil }
            let receivedAt = isReceived ? Int64(bitPattern: entry.word(10)) : nil
            guard receivedAt ?? 1 > 0 else { return nil }
            return .accepted(
                AcceptedResponse(status: Int(detail), region: region, requestID: requestID, receivedAt: receivedAt))
        }
        switch kind {
        case .sending, .resending:
            return .sending(
                owner: AttemptID(origin: entry.word(10), number: entry.word(11)),
                leaseEnds: expires.subtractingReportingOverflow(Int64(detail)).partialValue,
                isResend: kind == .resending)
        case .unknown: return .unknown
        case .absent: return .absent
        case .accepted, .received: return accepted(nil)
        case .acceptedUUID, .receivedUUID:
            return accepted(.uuid(entry.word(tailStart / 8), entry.word(tailStart / 8 + 1)))
        case .acceptedText, .receivedText:
            let text = entry[tailStart...].prefix { $0 != 0 }
            return String(validating: text, as: UTF8.self).flatMap { accepted(.text($0)) }
        case .seal, .mark: return nil
        }
    }
}

extension [UInt8] {
    mutating func appendWord(_ word: UInt64) {
        Swift.withUnsafeBytes(of: word.littleEndian) { append(contentsOf: $0) }
    }

    /// Adds an entry whose words `fill` stores; the first is filled in here.
    fileprivate mutating func appendEntry(
        kind: UInt8, region: UInt8 = 0, length: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let start = count
        append(contentsOf: repeatElement(0, count: length))
        withUnsafeMutableBytes { bytes in
            let entry = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            fill(entry)
            entry[4] = UInt8(clamping: length / 8)
            entry[5] = kind
            entry[6] = region
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: entry[4...]))
            entry.storeBytes(of: checksum.littleEndian, as: UInt32.self)
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Stores the word of that number, counted from 0.
    fileprivate func store(_ word: UInt64, at number: Int) {
        storeBytes(of: word.littleEndian, toByteOffset: number * 8, as: UInt64.self)
    }
}

extension UnsafeRawBufferPointer {
    /// The word of that number, counted from 0.
    func word(_ number: Int) -> UInt64 { loadUnaligned(fromByteOffset: number * 8, as: UInt64.self).littleEndian }
}
