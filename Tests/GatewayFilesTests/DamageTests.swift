import GatewayCore
import NIOCore
import Testing

@testable import GatewayFiles

struct DamageTests {
    /// Files of one process and its successor, and what each key was at any time.
    private func written() throws -> MemoryDisk {
        let bed = try FileBed()
        bed.accept(1...24)
        let next = try bed.successor()
        next.accept(25...30)
        _ = next.claim(next.request(31))
        return next.disk
    }

    @Test func `a file that is cut off anywhere is opened with what is whole`() throws {
        let disk = try written()
        let contents = disk.contents
        for (name, bytes) in contents {
            for length in 0..<bytes.count {
                let cut = MemoryDisk()
                cut.contents = contents
                cut.contents[name] = Array(bytes[..<length])
                let bed = try FileBed(cut, origin: 9)
                // Never accepted what was not; and what stands before the cut is there.
                for key in 1...31 as ClosedRange<UInt64> {
                    switch bed.state(key) {
                    case .accepted(FileBed.accepted) where key <= 30: break
                    case .absent, .inFlight: break
                    default: Issue.record("\(name) cut at \(length): \(key) is \(String(describing: bed.state(key)))")
                    }
                }
                let entries = max(0, length - RecordSegment.headerBytes) / 96
                #expect(bed.loaded.entries == (31 * 2 - 1) - (bytes.count - RecordSegment.headerBytes) / 96 + entries)
                // What is written next is found, too.
                bed.accept(100...100)
                #expect(try bed.successor().state(100) == .accepted(FileBed.accepted))
            }
        }
    }

    @Test func `damage before the end is named with file and offset, or does no harm`() throws {
        let disk = try written()
        let contents = disk.contents
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<1000 {
            let damaged = MemoryDisk()
            damaged.contents = contents
            guard let name = contents.keys.randomElement(), let count = contents[name]?.count else { continue }
            let offset = Int.random(in: 0..<count)
            for place in offset..<min(count, offset + Int.random(in: 1...200)) {
                // The first byte is another one for certain: no entry before it is damaged.
                let noise = UInt8.random(in: (place == offset ? 1 : 0) ... .max, using: &random)
                damaged.contents[name]?[place] ^= noise
            }
            do {
                let bed = try FileBed(damaged, origin: 9)
                for key in 1...31 as ClosedRange<UInt64> {
                    switch bed.state(key) {
                    case .accepted(FileBed.accepted) where key <= 30: break
                    case .absent, .inFlight: break
                    default:
                        Issue.record("\(name) damaged at \(offset): \(key) is \(String(describing: bed.state(key)))")
                    }
                }
                // Only an end can be cut off without being noticed: of so many bytes, four entries at most.
                #expect(bed.loaded.entries >= 61 - 4, "\(name) damaged at \(offset)")
            } catch let error as RecordFilesError {
                refused += 1
                #expect(error.file == name && error.offset.map { $0 <= offset && $0 > offset - 97 } == true, "\(error)")
            }
        }
        #expect(refused > 800)
    }

    @Test func `a file of another version is not read as one of this`() throws {
        let disk = try written()
        for name in disk.contents.keys { disk.contents[name]?[18] = UInt8(ascii: "2") }
        #expect(throws: RecordFilesError.self) { try FileBed(disk) }
    }

    static let destroyed: [(String, @Sendable ([UInt8]) -> [UInt8])] = [
        ("zeros", { _ in [UInt8](repeating: 0, count: 3000) }),
        ("noise", { _ in (0..<2000).map { _ in UInt8.random(in: 0...255) } }),
        ("text", { _ in Array(String(repeating: "root:x:0:0\n", count: 100).utf8) }),
        ("a header and noise", { $0[..<64] + (0..<1000).map { _ in UInt8.random(in: 0...255) } }),
        ("half and zeros", { $0[..<($0.count / 2)] + [UInt8](repeating: 0, count: $0.count / 2) }),
        ("half and text", { $0[..<($0.count / 2)] + Array(String(repeating: "x", count: $0.count / 2).utf8) }),
    ]

    @Test(arguments: destroyed.map(\.0))
    func `a file that something else was written to is not taken for one that ends early`(name: String) throws {
        let disk = try written()
        let change = try #require(Self.destroyed.first { $0.0 == name })
        let file = try #require(disk.contents.keys.min())
        disk.contents[file] = change.1(disk.contents[file] ?? [])
        #expect(throws: RecordFilesError.self) { try FileBed(disk, origin: 9) }
        #expect(disk.contents[file] != nil)
    }

    @Test func `a length that is damaged hides no entry behind it`() throws {
        let disk = try written()
        let file = try #require(disk.contents.keys.min())
        let bytes = try #require(disk.contents[file])
        for entry in stride(from: RecordSegment.headerBytes, to: bytes.count - 96, by: 96) {
            disk.contents[file] = bytes
            disk.contents[file]?[entry + 4] = 255
            #expect(throws: RecordFilesError.self) { try FileBed(disk, origin: 9) }
        }
    }

    @Test func `files with other names stay as they are`() throws {
        let disk = try written()
        let others = ["records-2025-export.log", "records-x-y.log", "records-1-0000000000000001.log.damaged", "notes"]
        for name in others { disk.contents[name] = [1, 2, 3] }
        let bed = try FileBed(disk, origin: 9)
        #expect(bed.files.maintain(now: bed.now) == [])
        for name in others { #expect(disk.contents[name] == [1, 2, 3]) }
    }
}
