/// Why content is not a skill message: which member, which rule, by how much.
package enum MessageError: Error, Equatable {
    /// `offset` in bytes from the start of the content.
    case notJSON(offset: Int, expected: String)
    case notAnObject
    case nestedTooDeeply
    case memberRepeated(String)
    case dataMissing
    case dataNotAnObject
    case dataTooLarge(bytes: Int)
    /// - Parameter limit: with the id of the receipt left out.
    case dataTooLargeForReceipt(bytes: Int, limit: Int)
    /// The gateway itself puts a member of that name into `data`.
    case memberReserved(String)
    case expiryNotAnInteger
    case expiryOutOfRange(String)

    package var detail: String {
        switch self {
        case .notJSON(let offset, let expected):
            "the content is not JSON (RFC 8259): at byte \(offset), expected \(expected)"
        case .notAnObject:
            "the content is not a JSON object; expected {\"data\": {…}, \"expiresAfterSeconds\": …}"
        case .nestedTooDeeply:
            "the content is nested deeper than \(MessageRules.maximumDepth) levels"
        case .memberRepeated(let name):
            "member `\(name)` is given twice"
        case .dataMissing:
            "member `data` is missing; expected an object, which may be empty"
        case .dataNotAnObject:
            "member `data` is not an object; expected an object, which may be empty"
        case .dataTooLarge(let bytes):
            "member `data` is \(bytes) bytes as compact JSON, \(bytes - MessageRules.dataLimitBytes) more than the "
                + "\(MessageRules.dataLimitBytes) allowed"
        case .dataTooLargeForReceipt(let bytes, let limit):
            "member `data` is \(bytes) bytes as compact JSON, \(bytes - limit) more than the \(limit) allowed, since "
                + "the gateway adds the id of a receipt"
        case .memberReserved(let name):
            "member `\(name)` of `data` is the gateway's own, for the id of a receipt; expected another name"
        case .expiryNotAnInteger:
            "member `expiresAfterSeconds` is not an integer; expected \(MessageRules.expiryText)"
        case .expiryOutOfRange(let value):
            "member `expiresAfterSeconds` is \(value); expected \(MessageRules.expiryText)"
        }
    }
}

/// The rules of Amazon's Skill Messaging API that the gateway checks before it sends.
package enum MessageRules {
    /// 6 KB in the widest reading; whether Amazon stops at 6000 or 6144 is not published.
    static let dataLimitBytes = 6144
    static let expirySeconds = 60...86_400
    static let defaultExpirySeconds = 3600
    static let maximumDepth = 32
    static let expiryText = "an integer from \(expirySeconds.lowerBound) to \(expirySeconds.upperBound)"
}
