package import NIOCore

/// How much content the peer takes, of one stream or of all together (RFC 9113 section 5.2).
package struct HTTP2SendWindow {
    /// Before the peer says otherwise, in bytes.
    package static let initialBytes = 65_535
    static let largest = Int(Int32.max)

    /// Negative after the peer has made it smaller than what was sent (RFC 9113 section 6.9.2).
    package fileprivate(set) var bytes: Int

    package init(bytes: Int = initialBytes) {
        self.bytes = bytes
    }

    /// - Parameter increment: may be negative.
    package mutating func grow(by increment: Int) throws(HTTP2Error) {
        bytes += increment
        guard bytes <= Self.largest else { throw HTTP2Error(.flowControlError, "a window is larger than 2^31-1") }
    }
}

/// How much content the peer may still send, of all streams together. It gets more before that is used up, whatever becomes of what it
/// has sent: how much is kept is bounded elsewhere.
package struct HTTP2ReceiveWindow {
    private let size: Int
    private var credit: Int

    /// - Parameter output: gets what the peer has to be told at the start of the connection.
    package init(bytes: Int, telling output: inout ByteBuffer) {
        size = bytes
        credit = bytes
        output.writeWindowUpdate(stream: 0, by: bytes - HTTP2SendWindow.initialBytes)
    }

    /// - Parameters:
    ///   - bytes: of `DATA`, its padding included.
    ///   - output: gets what the peer has to be told.
    package mutating func received(_ bytes: Int, telling output: inout ByteBuffer) throws(HTTP2Error) {
        credit -= bytes
        guard credit >= 0 else {
            throw HTTP2Error(.flowControlError, "more DATA came than the connection has room for")
        }
        guard credit <= size / 2 else { return }
        output.writeWindowUpdate(stream: 0, by: size - credit)
        credit = size
    }
}

extension ByteBuffer {
    /// Writes as much of a stream's content as the peer takes; the last of it ends the stream.
    ///
    /// - Parameter content: keeps the rest. Nil when all is written.
    package mutating func writeData(
        _ content: inout ByteBuffer?, stream: UInt32, within window: inout HTTP2SendWindow,
        and connection: inout HTTP2SendWindow
    ) {
        guard var rest = content else { return }
        while rest.readableBytes > 0 {
            let length = min(rest.readableBytes, connection.bytes, window.bytes, HTTP2FrameReader.payloadLimit)
            guard length > 0, let part = rest.readSlice(length: length) else {
                content = rest
                return
            }
            connection.bytes -= length
            window.bytes -= length
            let end = rest.readableBytes == 0 ? HTTP2Frame.Flag.endStream : 0
            writeFrameHead(.data, flags: end, stream: stream, length: length)
            writeImmutableBuffer(part)
        }
        content = nil
    }
}
