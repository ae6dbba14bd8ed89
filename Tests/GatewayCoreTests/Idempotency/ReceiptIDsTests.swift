import Foundation
import Testing

@testable import GatewayCore

@Suite struct ReceiptIDsTests {
    private typealias Subject = ReceiptIDs.Subject

    private static let secrets = ["first-secret-of-32-bytes-or-more", "second-secret-of-32-bytes-or-more"]
    private static let message = Receipt.Binding.message(7)
    private let ids = ReceiptIDs(signingSecrets: secrets, skills: ["weather", nil, "news"])
    private let scope = IdempotencyScope(words: (1, .max, 0x0123_4567_89AB_CDEF, 42))

    private func subject(of id: String, by ids: ReceiptIDs) -> Subject? {
        let bytes = Array(id.utf8)
        return ids.subject(of: bytes.span, 0..<bytes.count)
    }

    @Test(
        arguments: [
            (0, .message(0)), (2, .message(.max)), (0, .latestExpiry(1_795_497_192)), (2, .latestExpiry(0)),
        ] as [(Int, Receipt.Binding)])
    func `an id leads back to what it was made for`(skill: Int, binding: Receipt.Binding) throws {
        let made = Subject(scope: scope, skill: skill, binding: binding)
        let id = try #require(ids.id(of: made))
        #expect(id.utf8.count == ReceiptIDs.characters)
        #expect(id.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x7A) || $0 == 0x2D }, "\(id)")
        #expect(subject(of: id, by: ids) == made)
        #expect(ids.id(of: made) == id, "the same with each send")
    }

    @Test func `skills that report nothing have no ids`() {
        #expect(ids.id(of: Subject(scope: scope, skill: 1, binding: Self.message)) == nil)
        #expect(ids.id(of: Subject(scope: scope, skill: 9, binding: Self.message)) == nil)
        let none = ReceiptIDs(signingSecrets: [], skills: ["weather"])
        #expect(none.id(of: Subject(scope: scope, skill: 0, binding: Self.message)) == nil)
    }

    @Test func `an id with any bit flipped is refused`() throws {
        let id = try #require(ids.id(of: Subject(scope: scope, skill: 0, binding: Self.message)))
        let characters = Array(id.utf8)
        let decoded = Base64.decode(characters.span, 0..<characters.count)
        let bytes = try #require(decoded)
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(subject(of: Base64.encodeForURL(flipped), by: ids) == nil, "bit \(bit)")
        }
        for text in ["", String(id.dropLast()), id + "A", id.replacingOccurrences(of: "A", with: "=")] where text != id
        {
            #expect(subject(of: text, by: ids) == nil)
        }
    }

    @Test func `an id of one skill is none of another's, and guesses are none at all`() throws {
        // Of one tag, so that only the code tells them apart.
        let names = (0..<2_000).map { "skill-\($0)" }
        let many = ReceiptIDs(signingSecrets: Self.secrets, skills: names)
        for skill in stride(from: 0, to: 2_000, by: 97) {
            let made = Subject(scope: scope, skill: skill, binding: Self.message)
            #expect(subject(of: try #require(many.id(of: made)), by: many) == made)
        }
        var generator = SystemRandomNumberGenerator()
        // `TEST_GUESSES` asks for more.
        let guesses = ProcessInfo.processInfo.environment["TEST_GUESSES"].flatMap { Int($0) } ?? 20_000
        var accepted = 0
        var guess = [UInt8](repeating: 0, count: 48)
        for _ in 0..<guesses {
            for word in 0..<6 {
                let random: UInt64 = generator.next()
                for byte in 0..<8 { guess[8 * word + byte] = UInt8(truncatingIfNeeded: random >> (8 * byte)) }
            }
            if subject(of: Base64.encodeForURL(guess), by: many) != nil { accepted += 1 }
        }
        #expect(accepted == 0)
    }

    @Test func `every key verifies, the first signs, and a retired one does nothing`() throws {
        let made = Subject(scope: scope, skill: 0, binding: Self.message)
        let id = try #require(ids.id(of: made))
        let rotated = ReceiptIDs(signingSecrets: Self.secrets.reversed(), skills: ["weather", nil, "news"])
        #expect(rotated.id(of: made) != id && subject(of: id, by: rotated) == made)
        let retired = ReceiptIDs(signingSecrets: [Self.secrets[1]], skills: ["weather", nil, "news"])
        #expect(subject(of: id, by: retired) == nil)
    }
}
