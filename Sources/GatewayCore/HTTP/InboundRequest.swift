package import NIOCore

/// One request, complete: its head, and its content without any transfer coding.
///
/// An object, since all of a message's way refers to it and none of it changes it.
package final class InboundRequest: Sendable {
    package let head: RequestHead
    /// The bytes that the ranges of `head` point into, from the reader index on.
    package let headBytes: ByteBuffer
    package let content: ByteBuffer
    package let id: ExchangeID

    package init(head: RequestHead, headBytes: ByteBuffer, content: ByteBuffer, id: ExchangeID) {
        self.id = id
        self.head = head
        self.headBytes = headBytes
        self.content = content
    }

    /// The path of the target, without the query.
    package var path: String { text(head.path) }

    /// The value of the field that stands at `range`.
    package func text(_ range: Range<Int>) -> String {
        let bytes = headBytes
        return bytes.readableBytesUInt8Span.text(range)
    }

    /// The values of `X-Forwarded-For`, in the order of its lines.
    ///
    /// Walks through the head again, so that only who believes the field pays for it.
    var forwardedFor: [Range<Int>] {
        guard head.hasForwardedFor else { return [] }
        let head = headBytes
        let bytes = head.readableBytesUInt8Span
        var values: [Range<Int>] = []
        guard var next = try? FieldLines.line(of: bytes, from: 0, limit: bytes.count).1 else { return [] }
        while let field = try? FieldLines.field(of: bytes, from: next) {
            if bytes.isEqualIgnoringCase(field.name, to: "x-forwarded-for") { values.append(field.value) }
            next = field.next
        }
        return values
    }

    /// Whether the host that the request is for is an IP address or this machine by its very name.
    package var isForAddressOrLoopback: Bool {
        guard let authority = head.authority else { return false }
        let bytes = headBytes
        return Authority.isAddressOrLoopback(bytes.readableBytesUInt8Span, authority)
    }

    /// Whether the host that the request is for is this machine by its very name or a loopback address.
    package var isForLoopback: Bool {
        guard let authority = head.authority else { return false }
        let bytes = headBytes
        return Authority.isLoopback(bytes.readableBytesUInt8Span, authority)
    }
}
