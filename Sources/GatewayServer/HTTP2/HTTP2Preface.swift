import GatewayCore
import NIOCore

/// Finds out from the first bytes of a connection without TLS whether the client speaks HTTP/2, by prior knowledge (RFC 9113 section 3.3).
struct HTTP2Preface {
    enum Decision: Equatable {
        /// More bytes are needed.
        case undecided
        /// All bytes that came.
        case isHTTP2(ByteBuffer)
        case isOther(ByteBuffer)
    }

    private var seen = ByteBuffer()

    mutating func receive(_ bytes: ByteBuffer) -> Decision {
        if seen.readableBytes == 0 { seen = bytes } else { seen.writeImmutableBuffer(bytes) }
        let preface = HTTP2Frame.preface.readableBytesView
        guard seen.readableBytesView.starts(with: preface.prefix(seen.readableBytes)) else { return .isOther(seen) }
        return seen.readableBytes < preface.count ? .undecided : .isHTTP2(seen)
    }
}
