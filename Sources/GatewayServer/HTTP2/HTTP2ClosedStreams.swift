import NIOCore

/// The last streams of a connection that were closed: what may still come for them depends on how (RFC 9113 section 5.1).
struct HTTP2ClosedStreams {
    enum Reason {
        /// By the gateway, without waiting for the client's end. It may have sent more before it learned of that.
        case resetHere
        case resetByClient
        /// The client has said that nothing more comes, and has got its response.
        case endedByClient
    }

    private static let limit = 128

    private var streams = CircularBuffer<(number: UInt32, reason: Reason)>()

    mutating func append(_ number: UInt32, _ reason: Reason) {
        if streams.count == Self.limit { streams.removeFirst() }
        streams.append((number, reason))
    }

    /// Nil also for one that was closed long ago.
    func reason(for number: UInt32) -> Reason? {
        streams.last { $0.number == number }?.reason
    }
}
