package import NIOCore

/// The header block of `HEADERS` and of the `CONTINUATION` behind it, until its end has come (RFC 9113 section 4.3).
package struct HTTP2HeaderBlock {
    private static let continuationLimit = 32

    package let stream: UInt32
    package let endsStream: Bool
    package private(set) var bytes: ByteBuffer
    package private(set) var isComplete: Bool
    private var continuations = 0

    /// - Parameter frame: `HEADERS`.
    package init(_ frame: HTTP2Frame) throws(HTTP2Error) {
        stream = frame.stream
        endsStream = frame.has(HTTP2Frame.Flag.endStream)
        isComplete = frame.has(HTTP2Frame.Flag.endHeaders)
        bytes = try frame.unpadded()
    }

    /// - Parameter frame: `CONTINUATION`.
    package mutating func append(_ frame: HTTP2Frame, limitBytes: Int) throws(HTTP2Error) {
        bytes.writeImmutableBuffer(frame.payload)
        continuations += 1
        guard bytes.readableBytes <= limitBytes, continuations <= Self.continuationLimit else {
            throw HTTP2Error(
                .enhanceYourCalm,
                "a header block has more than \(limitBytes) bytes or \(Self.continuationLimit) parts")
        }
        isComplete = frame.has(HTTP2Frame.Flag.endHeaders)
    }
}
