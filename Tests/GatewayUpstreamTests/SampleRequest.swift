import GatewayCore
import NIOCore

enum SampleRequest {
    /// Where it does not matter which.
    static let any = of(user: "u")

    static func of(user: String, token: String = "Atc|1", content: String = #"{"data":{}}"#) -> UpstreamRequest {
        let segment = ByteBuffer(string: user)
        guard let user = try? UserID(parsing: 0..<segment.readableBytes, of: segment) else { fatalError("no userId") }
        return UpstreamRequest(
            user: user, token: AccessToken(token, generation: 1, expires: .distantFuture),
            content: ByteBuffer(string: content))
    }
}
