import GatewayCore
import NIOCore
import Testing

@testable import GatewayFiles

struct UserRegionsFileTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let disk = MemoryDisk()

    private var snapshot: UserRegionsSnapshot {
        var weather = UserRegionsSnapshot.OneSkill(name: "weather")
        weather.known = (0..<100).map {
            .init(hash: $0, region: $0 % 2 == 0 ? .europe : .farEast, isAccepted: $0 % 3 == 0)
        }
        weather.gone = [.init(hash: 7, userID: "amzn1.ask.account.Ä|b", until: now + .minutes(30))]
        return UserRegionsSnapshot(
            hash: SipHash(key: (1, 2)), skills: [UserRegionsSnapshot.OneSkill(name: "empty"), weather])
    }

    private func file(at unixMilliseconds: Int64) -> UserRegionsFile {
        UserRegionsFile(on: disk, unixMilliseconds: { unixMilliseconds })
    }

    @Test func `what is written is read, times by the wall clock`() throws {
        #expect(try file(at: 0).read(now: now) == nil)
        try file(at: 5_000_000).write(snapshot, now: now)
        #expect(try file(at: 5_000_000).read(now: now) == snapshot)
        // Ten minutes later, by a process whose own clock shows something else.
        let other = NIODeadline.uptimeNanoseconds(7)
        let later = try #require(try file(at: 5_600_000).read(now: other))
        #expect(later.skills[1].gone.map(\.until) == [other + .minutes(20)])
        #expect(later.skills[1].known == snapshot.skills[1].known)
        // It takes the place of the one before, also of one that was not written whole.
        _ = try disk.create("users.new")
        try file(at: 0).write(UserRegionsSnapshot(hash: SipHash(key: (3, 4)), skills: []), now: now)
        #expect(try file(at: 0).read(now: now)?.skills.isEmpty == true)
        #expect(try disk.files() == ["users"])
    }

    @Test func `whatever is not whole is not used, wherever it is cut or changed`() throws {
        let bytes = Array(UserRegionsFile.encode(snapshot, now: now, unixNow: 0).readableBytesView)
        for count in bytes.indices {
            #expect(UserRegionsFile.decode(Array(bytes[..<count]), now: now, unixNow: 0) == nil, "\(count)")
            var changed = bytes
            changed[count] ^= 0x10
            #expect(UserRegionsFile.decode(changed, now: now, unixNow: 0) == nil, "\(count)")
        }
        #expect(UserRegionsFile.decode(bytes, now: now, unixNow: 0) != nil)
    }

    @Test func `without room, nothing of it is left that takes room from records`() throws {
        try file(at: 0).write(snapshot, now: now)
        disk.fail(DiskError("no room", isFull: true), afterBytes: 100)
        #expect(throws: DiskError.self) { try file(at: 0).write(snapshot, now: now) }
        #expect(try disk.files() == ["users"])
    }

    /// A stranger may have written it, checksum and all.
    @Test func `numbers that do not fit what follows are refused`() throws {
        let bytes = Array(UserRegionsFile.encode(snapshot, now: now, unixNow: 0).readableBytesView.dropLast(4))
        for place in stride(from: 18, to: bytes.count, by: 1) {
            var changed = bytes
            for offset in place..<min(place + 4, bytes.count) { changed[offset] = 0xFF }
            let sum = changed.withUnsafeBytes { CRC32C.checksum($0) }
            changed += withUnsafeBytes(of: sum.bigEndian) { Array($0) }
            // It is read as something, or not at all; it never traps.
            if let read = UserRegionsFile.decode(changed, now: now, unixNow: 0) {
                #expect(read.skills.flatMap(\.gone).allSatisfy { $0.until <= now + .hours(24) })
            }
        }
    }
}
