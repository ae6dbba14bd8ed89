package import NIOCore

/// What one step changed of a record. Changes of one record are numbered in the order in which they were made.
package struct RecordChange: Equatable, Sendable {
    package var number: UInt64
    package var scope: IdempotencyScope
    /// The caller's label.
    package var caller: Int
    /// Nil: there was none.
    package var before: IdempotencyRecord?
    /// Nil: there is none any more.
    package var record: IdempotencyRecord?
    /// Of the record, or of the one that was there.
    package var fingerprint: RequestFingerprint
    /// When the change matters no longer.
    package var expires: NIODeadline

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
