public import Crypto

/// What fingerprints are keyed with; the same on every replica that shares a store, but for the time in which a key is replaced.
public struct FingerprintKeys: Sendable {
    public let first: SymmetricKey
    /// Records that were made with one of these are understood, too.
    public let others: [SymmetricKey]

    public init(_ first: SymmetricKey, others: [SymmetricKey] = []) {
        self.first = first
        self.others = others
    }
}
