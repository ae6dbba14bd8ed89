import GatewayCore
import NIOCore

/// A request as a back end sends it.
enum SampleRequest {
    static let userID = "amzn1.ask.account." + String(repeating: "A", count: 200)
    static let text =
        #"{"data":{"order":"12345678","state":"shipped","text":"Your parcel is on its way."},"expiresAfterSeconds":3600}"#
    static let content = ByteBuffer(string: text)

    static func bytes(
        key: String, caller: Int = 0, skill: Int = 0, region: Region = .europe
    ) -> ByteBuffer {
        ByteBuffer(
            string: """
                POST /v1/skillmessages/users/\(userID) HTTP/1.1\r
                Host: gateway.example.org\r
                Authorization: Bearer \(apiKey(caller))\r
                Gateway-Skill: skill-\(skill)\r
                Gateway-Region: \(region.name)\r
                Idempotency-Key: "\(key)"\r
                Content-Type: application/json\r
                Content-Length: \(text.utf8.count)\r
                \r
                \(text)
                """)
    }

    static func apiKey(_ caller: Int) -> String { "benchmark-0123456789abcdef-\(caller)" }
}

enum SampleResponse {
    static let requestID = RequestID.uuid(0x0d29_c856_00aa_11ef, 0x9262_0242_ac12_0002)
    static let accepted = UpstreamResponse(status: 202, requestID: requestID)
    static let recorded = AcceptedResponse(status: 202, region: .europe, requestID: requestID)
}

enum SampleClaim {
    static func numbered(_ number: Int) -> IdempotencyClaim {
        // As spread out as a hash.
        let word = UInt64(bitPattern: Int64(number)) &* 0x9E37_79B9_7F4A_7C15
        return IdempotencyClaim(
            scope: IdempotencyScope(words: (word, 1, 2, 3)), fingerprint: RequestFingerprint(words: (word, 1)),
            owner: AttemptID(origin: 1, number: UInt64(number)), lease: .seconds(15), retention: .hours(24),
            consent: false)
    }
}
