package import Crypto

/// What fingerprints are keyed with; the same on every replica that shares a store, but for the time in which a key is replaced.
package struct FingerprintKeys: Sendable {
    package let first: SymmetricKey
    /// Records that were made with one of these are understood, too.
    package let others: [SymmetricKey]

    package init(_ first: SymmetricKey, others: [SymmetricKey] = []) {
        self.first = first
        self.others = others
    }
}
