import GatewayCore
import Testing

@testable import TokenEndpointClient

@Suite struct LoginWithAmazonTests {
    private func grant(_ status: Int, _ content: String) throws(TokenFetchFailure) -> TokenGrant {
        try LoginWithAmazon.grant(
            from: .success(HTTPTransfer.Response(status: status, fields: [], content: Array(content.utf8))))
    }

    @Test(
        arguments: [
            (#"{"access_token":"Atc|a","expires_in":3600,"token_type":"Bearer"}"#, 3600),
            (#"{"access_token":"Atc|a","expires_in":"3600","token_type":"bearer"}"#, 3600),
            (#"{"access_token":"Atc|a"}"#, nil),
            (#"{"access_token":"Atc|a","expires_in":0}"#, 0), (#"{"access_token":"Atc|a","expires_in":-3600}"#, -1),
            (#"{"access_token":"Atc|a","expires_in":1e300}"#, 1_000_000_000),
            (#"{"access_token":"Atc|a","expires_in":"soon"}"#, nil),
            (#"{"access_token":"Atc|a","expires_in":null}"#, nil),
            (#"{"access_token":"Atc|a","expires_in":[]}"#, nil),
        ] as [(String, Int?)])
    func `a token is taken whatever its lifetime looks like`(content: String, lifetime: Int?) throws {
        #expect(try grant(200, content) == TokenGrant(token: "Atc|a", lifetimeSeconds: lifetime))
    }

    @Test(arguments: [
        "", "{}", "[]", "<html>", #"{"access_token":7}"#, #"{"access_token":""}"#, #"{"access_token":"a\r\nb"}"#,
        #"{"access_token":"Atc|a","token_type":"mac"}"#, #"{"access_token":"Atc|a","token_type":7}"#,
        #"{"access_token":"a b"}"#, #"{"access_token":"é"}"#,
    ])
    func `a 200 without a token that can stand in a field is a failure`(content: String) {
        #expect { try grant(200, content) } throws: { ($0 as? TokenFetchFailure)?.reason == .unusableAnswer }
    }

    @Test(
        arguments: [
            (401, #"{"error":"invalid_client"}"#, .invalidClient), (400, #"{"error":"invalid_scope"}"#, .refused),
            (400, "nonsense", .unusableAnswer), (500, "{}", .unusableAnswer), (503, "", .unusableAnswer),
            (429, "", .unusableAnswer), (302, "", .unusableAnswer),
        ] as [(Int, String, TokenFetchFailure.Reason)])
    func `errors are told apart`(status: Int, content: String, reason: TokenFetchFailure.Reason) {
        #expect { try grant(status, content) } throws: { ($0 as? TokenFetchFailure)?.reason == reason }
    }

    @Test func `no secret gets into the description of a failure`() {
        #expect { try grant(400, #"{"error":"the secret is hunter2"}"#) } throws: {
            ($0 as? TokenFetchFailure)?.detail == "status 400"
        }
    }

    @Test func `a form is encoded to the letter`() {
        #expect(LoginWithAmazon.formEncoded("a-b.c_d~1:/+ é") == "a-b.c_d~1%3A%2F%2B%20%C3%A9")
    }
}
