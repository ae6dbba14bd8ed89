import NIOCore

extension IdempotencyRecordTable {
    /// One record, in as little memory as it takes.
    struct PackedRecord {
        private static let noRegion = UInt8.max

        enum Kind: UInt8 {
            case free, sending, resending, unknown, acceptedUUID, acceptedText, acceptedWithoutID

            var isHeld: Bool { self == .sending || self == .resending || self == .unknown }
        }

        /// Of the scope.
        var words: (UInt64, UInt64, UInt64, UInt64)
        var fingerprint: RequestFingerprint
        /// The owner while sending, the request id once accepted.
        var identity: (UInt64, UInt64)
        var expires: NIODeadline
        /// The lease's end while sending; once accepted, a number that rises with each that is.
        var leaseEnds: NIODeadline
        /// Once the skill has reported it: when first; 0: it has not.
        var receivedAt: Int64
        var previous: Slot
        var next: Slot
        var status: UInt16
        /// The caller's label.
        var caller: UInt16
        /// `noRegion` where a receipt alone proves that it was accepted.
        var region: UInt8
        var kind: Kind
        /// As `IdempotencyClaim.isBrief`.
        var isBrief: Bool

        var scope: IdempotencyScope { IdempotencyScope(words: words) }

        func isOf(_ scope: IdempotencyScope) -> Bool {
            words.0 == scope.words.0 && words.1 == scope.words.1 && words.2 == scope.words.2
                && words.3 == scope.words.3
        }

        var isHeld: Bool { kind.isHeld }

        /// Whether it stands in its list where `record` would: a receipt or an unknown outcome changes neither list nor expiry.
        func keepsPlace(_ record: IdempotencyRecord, of caller: Int, isBrief: Bool) -> Bool {
            isHeld == record.isHeld && self.isBrief == isBrief && Int(self.caller) == caller
                && expires == record.expires
        }

        /// - Parameter number: of an accepted one, as `leaseEnds` has it.
        mutating func stand(between previous: Slot, _ next: Slot, number: UInt64?) {
            self.previous = previous
            self.next = next
            if let number { leaseEnds = .uptimeNanoseconds(number) }
        }

        /// Everything but its place in a list.
        ///
        /// - Returns: the request id if it is no UUID, which there is no room for here.
        mutating func pack(
            _ record: IdempotencyRecord, _ scope: IdempotencyScope, of caller: Int, isBrief: Bool
        ) -> String? {
            words = scope.words
            fingerprint = record.fingerprint
            expires = record.expires
            self.caller = UInt16(clamping: caller)
            self.isBrief = isBrief
            switch record.state {
            case .sending(let owner, let end, let isResend):
                kind = isResend ? .resending : .sending
                identity = (owner.origin, owner.number)
                leaseEnds = end
            case .unknown:
                kind = .unknown
            case .accepted(let answer):
                status = UInt16(clamping: answer.status)
                region = answer.region.map { UInt8(clamping: $0.rawValue) } ?? Self.noRegion
                receivedAt = answer.receivedAt ?? 0
                switch answer.requestID {
                case .uuid(let high, let low):
                    kind = .acceptedUUID
                    identity = (high, low)
                case .text(let text):
                    kind = .acceptedText
                    return text
                case nil:
                    kind = .acceptedWithoutID
                }
            }
            return nil
        }
    }
}
