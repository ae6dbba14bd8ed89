/// What an answer of Amazon's says about the message, and so about its idempotency record.
///
/// Only 202 accepts (the API's contract), and an answer from Amazon's edge speaks for nobody behind it.
enum AnswerDisposition: Equatable {
    case accepted
    /// Proven not accepted: a retry is sent anew.
    case refused
    /// Proven not accepted, and a new access token may heal it.
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
