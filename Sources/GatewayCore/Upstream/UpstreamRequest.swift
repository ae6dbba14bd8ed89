package import NIOCore

/// A message as it goes to a region. How it is written is the affair of the connection that carries it.
package struct UpstreamRequest: Sendable {
    package let user: UserID
    package let token: AccessToken
    package let content: ByteBuffer
    /// What it says of the trace that it is a part of; nil: nothing.
    package var trace: SpanReference?

    package init(user: UserID, token: AccessToken, content: ByteBuffer) {
        self.user = user
        self.token = token
        self.content = content
    }
}
