/// What the epoch key of a server holds. It is made once and has no expiry, so that only the loss of all records takes it away.
enum StoreEpoch: Equatable {
    /// The records since it was made are there.
    case sound(String)
    /// Records were lost. Until then, in milliseconds of Unix time, messages sent before may have been forgotten.
    case wiped(until: Int)

    private static let mark = "wiped-"

    init?(_ text: String?) {
        guard let text else { return nil }
        guard text.hasPrefix(Self.mark), let until = Int(text.dropFirst(Self.mark.count)) else {
            self = .sound(text)
            return
        }
        self = .wiped(until: until)
    }

    static func fresh() -> StoreEpoch { .sound(String(UInt64.random(in: .min ... .max), radix: 16)) }

    var text: String {
        switch self {
        case .sound(let text): text
        case .wiped(let until): Self.mark + String(until)
        }
    }

    var isSound: Bool { if case .sound = self { true } else { false } }
}
