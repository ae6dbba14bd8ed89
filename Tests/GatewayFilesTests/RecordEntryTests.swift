import GatewayCore
import Testing

@testable import GatewayFiles

struct RecordEntryTests {
    static let states: [RecordEntry.State] = [
        .sending(owner: AttemptID(origin: 1, number: .max), leaseEnds: 1_795_497_204_000, isResend: false),
        .sending(owner: AttemptID(origin: .max, number: 2), leaseEnds: 1_795_497_204_000, isResend: true),
        .unknown, .absent,
        .accepted(AcceptedResponse(status: 202, region: .farEast, requestID: .uuid(1, .max))),
        .accepted(AcceptedResponse(status: 200, region: .europe, requestID: .text("not-a-uuid"))),
        .accepted(AcceptedResponse(status: 299, region: .northAmerica, requestID: nil)),
        .accepted(AcceptedResponse(status: 202, region: .europe, requestID: .uuid(1, .max), receivedAt: .max)),
        .accepted(AcceptedResponse(status: 202, region: .europe, requestID: .text("not-a-uuid"), receivedAt: 1)),
        .accepted(AcceptedResponse(provenAt: 1_795_497_192_345)),
    ]

    static func entry(_ number: UInt64, _ state: RecordEntry.State = .unknown) -> RecordEntry {
        RecordEntry(
            number: number, scope: IdempotencyScope(words: (number, 2, 3, .max)),
            fingerprint: RequestFingerprint(words: (7 << 48, 9)), caller: 0xFFFF_FFFE, expires: 1_795_583_592_123,
            state: state)
    }

    @Test func `the checksum is the one that RFC 3720 gives for its examples`() {
        for (bytes, expected) in [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            (Array(0..<32), 0x46DD_794E), (Array((0..<32).reversed()), 0x113F_DB5C),
        ] as [([UInt8], UInt32)] {
            #expect(bytes.withUnsafeBytes { CRC32C.checksum($0) } == expected)
        }
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32C.checksum($0) } == 0xE306_9283)
    }

    @Test(arguments: states)
    func `what is written is read again`(state: RecordEntry.State) {
        var bytes: [UInt8] = []
        Self.entry(5, state).write(to: &bytes)
        #expect(bytes.count.isMultiple(of: 8) && bytes.count <= 104)
        bytes.withUnsafeBytes { bytes in
            guard case .entry(let entry, bytes.count) = RecordEntry.parse(bytes, at: 0) else {
                Issue.record("nothing can be read")
                return
            }
            #expect(entry == Self.entry(5, state))
        }
    }

    @Test(arguments: states)
    func `an entry of which a bit is another, or that ends too early, is none`(state: RecordEntry.State) {
        var bytes: [UInt8] = []
        Self.entry(5, state).write(to: &bytes)
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(damaged.withUnsafeBytes { RecordEntry.parse($0, at: 0) } == nil)
        }
        for length in 0..<bytes.count {
            #expect(Array(bytes[..<length]).withUnsafeBytes { RecordEntry.parse($0, at: 0) } == nil)
        }
    }
}
