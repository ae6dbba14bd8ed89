package import GatewayCore
package import NIOCore

/// What a process knows about users, in one file that is written as a whole. Losing it costs one more try of a message, so that it is
/// neither synced nor repaired: what is not whole is not used.
///
/// ```
/// "skillgate users 1\n", key (16), number of skills (4); of each skill:
///     name, number of users (4), of each: hash (8), region (1), whether Amazon accepted it (1)
///     number of those who are gone (4), of each: hash (8), until (8, Unix time in ms), userId
/// checksum of all of it (CRC-32C)
/// ```
///
/// Integers are big-endian, text follows its length (2).
package struct UserRegionsFile: Sendable {
    private static let name = "users"
    private static let newName = "users.new"
    /// In bytes; no gateway writes as many.
    private static let limit = 64 << 20
    private static let magic = "skillgate users 1\n"

    private let disk: any Disk
    private let unixMilliseconds: @Sendable () -> Int64

    package init(on disk: any Disk, unixMilliseconds: @escaping @Sendable () -> Int64) {
        self.disk = disk
        self.unixMilliseconds = unixMilliseconds
    }

    package func write(_ snapshot: UserRegionsSnapshot, now: NIODeadline) throws(DiskError) {
        let bytes = Array(Self.encode(snapshot, now: now, unixNow: unixMilliseconds()).readableBytesView)
        // Left by a process that was killed while it wrote.
        try disk.remove(Self.newName)
        do throws(DiskError) {
            try disk.create(Self.newName).append(bytes)
            try disk.rename(Self.newName, to: Self.name)
        } catch {
            // Records need the room more than this does.
            try? disk.remove(Self.newName)
            throw error
        }
    }

    /// Nil where nobody has written one.
    package func read(now: NIODeadline) throws(DiskError) -> UserRegionsSnapshot? {
        guard try disk.files().contains(Self.name) else { return nil }
        guard try disk.size(of: Self.name) <= Self.limit else { throw DiskError("\(Self.name) is too large") }
        guard let snapshot = Self.decode(try disk.read(Self.name), now: now, unixNow: unixMilliseconds()) else {
            throw DiskError("\(Self.name) is damaged, or of another version")
        }
        return snapshot
    }

    static func encode(_ snapshot: UserRegionsSnapshot, now: NIODeadline, unixNow: Int64) -> ByteBuffer {
        var bytes = ByteBuffer(string: magic)
        bytes.writeMultipleIntegers(snapshot.hash.key.0, snapshot.hash.key.1)
        bytes.writeInteger(UInt32(clamping: snapshot.skills.count))
        for skill in snapshot.skills {
            bytes.writeText(skill.name)
            bytes.writeInteger(UInt32(clamping: skill.known.count))
            for user in skill.known {
                bytes.writeMultipleIntegers(
                    user.hash, UInt8(clamping: user.region.rawValue), UInt8(user.isAccepted ? 1 : 0))
            }
            bytes.writeInteger(UInt32(clamping: skill.gone.count))
            for user in skill.gone {
                let left = (user.until - now).nanoseconds / 1_000_000
                bytes.writeMultipleIntegers(user.hash, unixNow + left)
                bytes.writeText(user.userID)
            }
        }
        bytes.writeInteger(bytes.withUnsafeReadableBytes { CRC32C.checksum($0) })
        return bytes
    }

    static func decode(_ file: [UInt8], now: NIODeadline, unixNow: Int64) -> UserRegionsSnapshot? {
        var bytes = ByteBuffer(bytes: file)
        guard let content = bytes.readSlice(length: max(0, bytes.readableBytes - 4)),
            bytes.readInteger() == content.withUnsafeReadableBytes({ CRC32C.checksum($0) })
        else { return nil }
        bytes = content
        guard bytes.readString(length: magic.utf8.count) == magic,
            let key = bytes.readMultipleIntegers(as: (UInt64, UInt64).self),
            let count = bytes.readInteger(as: UInt32.self)
        else { return nil }
        var snapshot = UserRegionsSnapshot(hash: SipHash(key: key), skills: [])
        for _ in 0..<count {
            guard let skill = bytes.readSkill(now: now, unixNow: unixNow) else { return nil }
            snapshot.skills.append(skill)
        }
        return bytes.readableBytes == 0 ? snapshot : nil
    }
}

extension ByteBuffer {
    fileprivate mutating func writeText(_ text: String) {
        let bytes = text.utf8.prefix(Int(UInt16.max))
        writeInteger(UInt16(clamping: bytes.count))
        writeBytes(bytes)
    }

    private mutating func readText() -> String? { readInteger(as: UInt16.self).flatMap { readString(length: Int($0)) } }

    fileprivate mutating func readSkill(now: NIODeadline, unixNow: Int64) -> UserRegionsSnapshot.OneSkill? {
        guard let name = readText(), let count = readInteger(as: UInt32.self) else { return nil }
        var skill = UserRegionsSnapshot.OneSkill(name: name)
        for _ in 0..<count {
            guard let (hash, region, isAccepted) = readMultipleIntegers(as: (UInt64, UInt8, UInt8).self),
                let region = Region(rawValue: Int(region))
            else { return nil }
            skill.known.append(UserRegionsSnapshot.Known(hash: hash, region: region, isAccepted: isAccepted == 1))
        }
        guard let count = readInteger(as: UInt32.self) else { return nil }
        for _ in 0..<count {
            guard let (hash, until) = readMultipleIntegers(as: (UInt64, Int64).self), let userID = readText() else {
                return nil
            }
            let (left, overflows) = until.subtractingReportingOverflow(unixNow)
            // Longer than anybody counts as gone, and short enough to be added.
            let milliseconds = overflows ? 0 : min(max(left, 0), 86_400_000)
            skill.gone.append(
                UserRegionsSnapshot.Gone(hash: hash, userID: userID, until: now + .milliseconds(milliseconds)))
        }
        return skill
    }
}
