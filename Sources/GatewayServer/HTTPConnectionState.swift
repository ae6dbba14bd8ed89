import GatewayCore
import NIOCore

/// The state of a connection from a client, and its timeouts. Pure: events and times are passed in, and what to do is
/// returned, for `HTTPConnection` to perform.
struct HTTPConnectionState {
    struct Timeouts: Equatable {
        var head: TimeAmount
        var content: TimeAmount
        var idle: TimeAmount
        /// How long a client may leave responses unread.
        var write: TimeAmount

        fileprivate func limit(_ phase: RequestDecoder.Phase) -> TimeAmount {
            switch phase {
            case .idle: idle
            case .head: head
            case .content: content
            }
        }
    }

    private enum State: Equatable {
        /// Nothing can be read before the TLS handshake is over. Can transition to: reading, closing.
        case handshaking
        /// Can transition to: responding, closing.
        case reading
        /// A request is being handled. Can transition to: reading, closing.
        case responding(isHead: Bool, keepsAlive: Bool)
        /// The last response is being written, or the connection is closed.
        case closing
    }

    /// What has taken too long.
    enum Overdue: Equatable {
        case close
        /// This part of a request did not arrive in time.
        case refuse(String)
    }

    /// How much is read ahead while a request is being answered.
    private static let readAheadLimitBytes = 64 * 1024

    private let timeouts: Timeouts
    private var state: State
    private var phase = RequestDecoder.Phase.idle
    /// When the current phase times out.
    private var deadline: NIODeadline
    /// When the client must have read its responses; set while the channel is not writable.
    private var writeDeadline = NIODeadline.distantFuture
    private(set) var inputIsClosed = false
    /// A read that was held back.
    private(set) var hasPendingRead = false

    /// A new connection is expected to be used at once: the handshake, and then the first byte, get the head timeout each.
    init(isSecure: Bool, _ timeouts: Timeouts, now: NIODeadline) {
        self.timeouts = timeouts
        state = isSecure ? .handshaking : .reading
        deadline = now + timeouts.head
    }

    var isReading: Bool { state == .reading }
    var isClosing: Bool { state == .closing }
    /// Whether the next request is taken; not while the client does not read its responses.
    var takesRequests: Bool { state == .reading && isWritable }
    private var isWritable: Bool { writeDeadline == .distantFuture }
    /// No byte of a request has come, so the connection can close without losing one.
    private var isIdle: Bool { state == .reading && phase == .idle }

    // MARK: Events from the client

    /// - Returns: false if the handshake had completed before.
    mutating func handshakeCompleted(now: NIODeadline) -> Bool {
        guard state == .handshaking else { return false }
        state = .reading
        deadline = now + timeouts.head
        return true
    }

    /// The client closes its side, and may still wait for a response.
    ///
    /// - Returns: whether the connection ends now, since there is none to wait for.
    mutating func inputClosed() -> Bool {
        inputIsClosed = true
        if case .responding = state { return false }
        return true
    }

    /// The bytes received so far contain no further complete request.
    ///
    /// - Returns: whether the connection ends now, since nothing more will come.
    mutating func awaits(_ phase: RequestDecoder.Phase, now: () -> NIODeadline) -> Bool {
        if inputIsClosed { return true }
        if phase != self.phase { enter(phase, now: now()) }
        return false
    }

    mutating func took(_ head: RequestHead) {
        state = .responding(isHead: head.method == .head, keepsAlive: head.keepsAlive)
        deadline = .distantFuture
    }

    mutating func writabilityChanged(isWritable: Bool, now: NIODeadline) {
        guard isWritable else {
            if self.isWritable { writeDeadline = now + timeouts.write }
            return
        }
        writeDeadline = .distantFuture
        // The gateway took no requests meanwhile, so the phase starts over.
        if state == .reading && deadline != .distantFuture { enter(phase, now: now) }
    }

    /// Whether to read now. A read that is held back is repeated later; see `hasPendingRead`.
    ///
    /// - Parameter buffered: bytes that wait behind the request that is being answered.
    mutating func reads(buffered: Int) -> Bool {
        hasPendingRead =
            switch state {
            case .responding: !isWritable || buffered >= Self.readAheadLimitBytes
            case .reading: !isWritable
            case .handshaking, .closing: false
            }
        return !hasPendingRead
    }

    // MARK: Events from the gateway

    /// The request that was taken has its response.
    ///
    /// - Parameters:
    ///   - mayContinue: the gateway would take another request.
    ///   - idleDeadline: of a connection that becomes idle now.
    /// - Returns: how to encode the response; nil if the connection is closing and nobody waits for it.
    mutating func responded(mayContinue: Bool, idleDeadline: NIODeadline) -> (isHead: Bool, keepsAlive: Bool)? {
        guard case .responding(let isHead, let wasKept) = state else { return nil }
        let keepsAlive = wasKept && mayContinue && !inputIsClosed
        if keepsAlive {
            state = .reading
            phase = .idle
            deadline = idleDeadline
        } else {
            endsGracefully()
        }
        return (isHead, keepsAlive)
    }

    /// The last response is on its way, or about to be.
    mutating func endsGracefully() {
        state = .closing
        deadline = .distantFuture
    }

    mutating func closed() { state = .closing }

    // MARK: Time

    func overdue(now: NIODeadline) -> Overdue? {
        if writeDeadline <= now { return .close }
        guard deadline <= now else { return nil }
        switch (state, phase) {
        case (.handshaking, _), (.reading, .idle): return .close
        case (.reading, .head): return .refuse("head")
        case (.reading, .content): return .refuse("content")
        case (.responding, _), (.closing, _): return nil
        }
    }

    /// Whether the connection ends now that its client's certificate is no longer good. One that is being answered goes on.
    var endsWithCertificate: Bool { isIdle }

    /// Whether the connection ends now that no further request is taken.
    var endsWhenDraining: Bool { state == .handshaking || isIdle }

    private mutating func enter(_ phase: RequestDecoder.Phase, now: NIODeadline) {
        self.phase = phase
        deadline = now + timeouts.limit(phase)
    }
}
