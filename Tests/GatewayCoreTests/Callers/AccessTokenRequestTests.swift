import NIOCore
import TestSupport
import Testing

@testable import GatewayCore

@Suite struct AccessTokenRequestTests {
    private func read(_ content: String, authorization: String? = nil) throws(CallerError) -> AccessTokenRequest {
        let field = authorization.map { "Authorization: \($0)\r\n" } ?? ""
        var decoder = RequestDecoder()
        decoder.receive(
            ByteBuffer(
                string:
                    "POST /auth/o2/token HTTP/1.1\r\nHost: x\r\n\(field)Content-Length: \(content.utf8.count)\r\n\r\n"
                    + content))
        guard case .request(let request) = decoder.next() else { throw CallerError(.notAllowed, "no request") }
        return try AccessTokenRequest(request)
    }

    private func reason(_ content: String, authorization: String? = nil) -> CallerError.Reason? {
        do {
            _ = try read(content, authorization: authorization)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test(
        arguments: [
            // Python's SDK, which encodes nothing.
            "grant_type=client_credentials&client_secret=s3cret+/=%41&client_id=amzn1.x&scope=alexa:skill_messaging",
            "grant_type=client_credentials&client_id=amzn1.x&client_secret=s3cret%2B%2F%3D%2541&scope=alexa%3Askill_messaging",
            #"{"grant_type":"client_credentials","client_id":"amzn1.x","client_secret":"s3cret+\/=%41","scope":"alexa:skill_messaging"}"#,
            #" {"scope":"alexa:skill_messaging","extra":[1],"grant_type":"client_credentials","client_id":"amzn1\u002ex","client_secret":"s3cret+/=%41"} "#,
            "grant_type=client_credentials&client_id=amzn1.x&client_secret=s3cret%2B%2F%3D%2541",
        ])
    func `each form that clients use holds the same credentials`(content: String) throws {
        let request = try read(content)
        #expect(request.credentials.contains(.init(clientID: "amzn1.x", secret: "s3cret+/=%41")))
        #expect(request.credentials.count <= 2)
    }

    @Test(arguments: ["Basic YW16bjEueDpzM2NyZXQ=", "basic   YW16bjEueDpzM2NyZXQ", "Basic YW16bjEueDpzM2NyZXQ"])
    func `credentials may come by Basic`(authorization: String) throws {
        let request = try read(
            "grant_type=client_credentials&scope=alexa:skill_messaging", authorization: authorization)
        #expect(request.credentials == [.init(clientID: "amzn1.x", secret: "s3cret")])
    }

    @Test func `a secret may hold colons`() throws {
        // "a:b:c"
        let request = try read("grant_type=client_credentials", authorization: "Basic YTpiOmM=")
        #expect(request.credentials == [.init(clientID: "a", secret: "b:c")])
    }

    @Test(
        arguments: [
            ("", .tokenRequestInvalid), ("client_id=a&client_secret=b", .tokenRequestInvalid),
            ("grant_type=password&client_id=a&client_secret=b", .grantTypeUnsupported),
            ("grant_type=client_credentials&client_id=a&client_secret=b&scope=profile", .scopeInvalid),
            ("grant_type=client_credentials&client_id=a", .tokenRequestInvalid),
            ("grant_type=client_credentials&client_secret=a", .tokenRequestInvalid),
            ("grant_type=client_credentials&client_id=&client_secret=b", .tokenRequestInvalid),
            (
                "grant_type=client_credentials&grant_type=client_credentials&client_id=a&client_secret=b",
                .tokenRequestInvalid
            ),
            (#"{"grant_type":"client_credentials""#, .tokenRequestInvalid),
            (#"{"grant_type":{"a":1}}"#, .tokenRequestInvalid), ("{}", .tokenRequestInvalid),
            ("[]", .tokenRequestInvalid), ("&&&===&", .tokenRequestInvalid),
        ] as [(String, CallerError.Reason)])
    func `what cannot be meant is refused by name`(content: String, expected: CallerError.Reason) {
        #expect(reason(content) == expected)
        #expect(!Refusal(CallerError(expected, "")).problem.row.oauthError.isEmpty)
    }

    @Test func `two ways at once are one too many, and what is no Basic is nobody`() {
        let form = "grant_type=client_credentials"
        #expect(reason(form + "&client_id=a&client_secret=b", authorization: "Basic YTpi") == .tokenRequestInvalid)
        for authorization in ["Basic", "Basic !", "Basic YWI=", "Bearer x", "Digest YTpi"] {
            #expect(reason(form, authorization: authorization) == .clientNotAuthenticated, "\(authorization)")
        }
    }

    @Test func `no bytes make it crash`() {
        var generator = SeededGenerator(seed: 11)
        let seeds = [
            #"{"grant_type":"client_credentials","client_id":"a\u00e9","client_secret":"b"}"#,
            "grant_type=client_credentials&client_id=a%20&client_secret=b%",
        ].map { Array($0.utf8) }
        for _ in 0..<20_000 {
            var bytes = seeds.randomElement(using: &generator) ?? []
            for _ in 0..<Int.random(in: 0..<4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(
                    in: .min ... .max, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0..<4, using: &generator))
            _ = try? AccessTokenRequest.Parameters(ByteBuffer(bytes: bytes))
        }
    }
}
