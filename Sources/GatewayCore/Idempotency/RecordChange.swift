package import NIOCore

/// What one step changed of a record. Changes of one record are numbered in the order in which they were made.
///
/// By reference: it is large, and a store that writes no changes down must not pay for there being none.
package final class RecordChange: Sendable {
    package let number: UInt64
    package let scope: IdempotencyScope
    /// The caller's label.
    package let caller: Int
    /// Nil: there was none.
    package let before: IdempotencyRecord?
    /// Nil: there is none any more.
    package let record: IdempotencyRecord?
    /// Of the record, or of the one that was there.
    package let fingerprint: RequestFingerprint
    /// When the change matters no longer.
    package let expires: NIODeadline

    package init(
        number: UInt64, scope: IdempotencyScope, caller: Int, before: IdempotencyRecord? = nil,
        record: IdempotencyRecord?, fingerprint: RequestFingerprint, expires: NIODeadline
    ) {
        self.number = number
        self.scope = scope
        self.caller = caller
        self.before = before
        self.record = record
        self.fingerprint = fingerprint
        self.expires = expires
    }
}
