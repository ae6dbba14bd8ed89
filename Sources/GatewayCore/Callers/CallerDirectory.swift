import NIOCore

/// Who is calling.
public struct CallerDirectory: Sendable {
    public private(set) var callers: [Caller]
    private var callersByKey: [APIKeyDigest: Int] = [:]
    /// Stands for requests without any credentials; a sidecar's own back end.
    private let anonymousCaller: Int?

    /// - Parameters:
    ///   - callers: each with the digests of its API keys. No key may belong to two callers.
    ///   - anonymousCaller: its place in `callers`.
    public init(_ callers: [(caller: Caller, keys: [APIKeyDigest])], anonymousCaller: Int? = nil) {
        self.callers = callers.map(\.caller)
        self.anonymousCaller = anonymousCaller
        for (index, entry) in callers.enumerated() {
            for key in entry.keys { callersByKey[key] = index }
        }
    }

    /// Whoever the request's credentials belong to. Every failure looks the same from outside.
    func authenticate(_ request: InboundRequest) throws(Refusal) -> Caller {
        guard let authorization = request.head.authorization else {
            guard let anonymousCaller else {
                throw Refusal(.notAuthenticated, "field `Authorization` is missing; expected `Bearer` and an API key")
            }
            return callers[anonymousCaller]
        }
        let bytes = request.headBytes
        guard let key = Self.bearerToken(bytes.readableBytesUInt8Span, authorization) else {
            throw Refusal(.notAuthenticated, "field `Authorization` does not hold `Bearer` and an API key")
        }
        let digest = bytes.withUnsafeReadableBytes { bytes in APIKeyDigest(of: .init(rebasing: bytes[key])) }
        guard let index = callersByKey[digest] else {
            throw Refusal(.notAuthenticated, "the API key in field `Authorization` is not known")
        }
        return callers[index]
    }

    /// RFC 6750 section 2.1; the scheme is matched without regard to case (RFC 9110 section 11.1).
    private static func bearerToken(_ bytes: Span<UInt8>, _ field: Range<Int>) -> Range<Int>? {
        let start = field.lowerBound
        guard field.count > 7, bytes.isEqualIgnoringCase(start..<start + 6, to: "bearer"),
            bytes[start + 6] == UInt8(ascii: " ")
        else { return nil }
        let token = bytes.trimmed(start + 7..<field.upperBound)
        for index in token where !(0x21...0x7E).contains(bytes[index]) { return nil }
        return token.isEmpty ? nil : token
    }
}
