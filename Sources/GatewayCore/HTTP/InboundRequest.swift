public import NIOCore

/// One request, complete: its head, and its content without any transfer coding.
///
/// An object, since all of a message's way refers to it and none of it changes it.
public final class InboundRequest: Sendable {
    public let head: RequestHead
    /// The bytes that the ranges of `head` point into, from the reader index on.
    public let headBytes: ByteBuffer
    public let content: ByteBuffer

    public init(head: RequestHead, headBytes: ByteBuffer, content: ByteBuffer) {
        self.head = head
        self.headBytes = headBytes
        self.content = content
    }

    /// The path of the target, without the query.
    public var path: String { text(head.path) }

    /// The value of the field that stands at `range`.
    public func text(_ range: Range<Int>) -> String {
        let bytes = headBytes
        return bytes.readableBytesUInt8Span.text(range)
    }

    /// Whether the host that the request is for is an IP address or this machine by its very name.
    public var isForAddressOrLoopback: Bool {
        guard let authority = head.authority else { return false }
        let bytes = headBytes
        return Authority.isAddressOrLoopback(bytes.readableBytesUInt8Span, authority)
    }

    /// Whether the host that the request is for is this machine by its very name or a loopback address.
    public var isForLoopback: Bool {
        guard let authority = head.authority else { return false }
        let bytes = headBytes
        return Authority.isLoopback(bytes.readableBytesUInt8Span, authority)
    }
}
