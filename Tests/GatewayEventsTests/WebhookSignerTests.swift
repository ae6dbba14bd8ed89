import GatewayEvents
import Testing

@Suite struct WebhookSignerTests {
    /// The example of the specification.
    private let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    private func fields(_ secrets: [String]) throws -> [String: String] {
        let fields = try WebhookSigner(secrets: secrets).fields(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", unixTime: 1_614_265_330, content: Array(#"{"test": 2432232314}"#.utf8))
        return Dictionary(uniqueKeysWithValues: fields.map { ($0.name, $0.value) })
    }

    @Test func `it signs as the specification's example`() throws {
        #expect(
            try fields([secret]) == [
                "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
                "webhook-signature": signature,
            ])
    }

    @Test func `with two secrets there are two signatures`() throws {
        let other = "whsec_" + String(repeating: "A", count: 32)
        let both = try #require(try fields([other, secret])["webhook-signature"]).split(separator: " ")
        #expect(both.count == 2 && both[1] == signature && both[0] != both[1])
    }

    @Test(arguments: [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin with `whsec_`"), ("whsec_", "holds 0 bytes"),
        ("whsec_not base64", "is not valid Base64"), ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=*", "is not valid Base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZI", "holds 18 bytes"),
        ("whsec_" + String(repeating: "A", count: 88), "holds 66 bytes"),
    ]) func `what is no secret is refused, and not echoed`(secret: String, complaint: String) throws {
        let mistake = try #require(WebhookSigner.mistake(in: secret))
        #expect(mistake.contains(complaint) && mistake.contains("expected `whsec_` and the Base64 of 24 to 64"))
        #expect(!mistake.contains("MfKQ"))
    }
}
