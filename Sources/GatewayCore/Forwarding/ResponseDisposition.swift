/// What the status of Amazon's response proves about the message, and so about its idempotency record.
///
/// Any 2xx accepts; 502 and 504 from Amazon's edge prove nothing.
enum ResponseDisposition: Equatable {
    case accepted
    /// Proven not accepted: a retry is sent.
    case refused
    /// Proven not accepted; a new access token may be accepted.
    case tokenRefused
    case unknown

    init(status: Int, strict5xx: Bool) {
        self =
            switch status {
            case 200...299: .accepted
            case 403: .tokenRefused
            case 300...499, 503: .refused
            case 500: strict5xx ? .unknown : .refused
            default: .unknown
            }
    }
}
