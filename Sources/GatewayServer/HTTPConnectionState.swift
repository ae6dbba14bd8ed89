import GatewayCore
import NIOCore

/// What a connection from a client is doing, and how long it may do so. Pure: what happens and when is passed in, and what
/// is to be done is returned, for `HTTPConnection` to do.
struct HTTPConnectionState {
    struct Timeouts: Equatable {
        var head: TimeAmount
        var content: TimeAmount
        var idle: TimeAmount
        /// Of responses that the client does not read.
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
        /// A request is on its way through the gateway. Can transition to: reading, closing.
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

    /// Behind a request that is being answered, at most this much is read ahead.
    private static let readAheadLimitBytes = 64 * 1024

    private let timeouts: Timeouts
    private var state: State
    private var phase = RequestDecoder.Phase.idle
    /// When the phase has lasted too long.
    private var deadline: NIODeadline
    /// When responses have waited too long to be read; they do while the channel is not writable.
    private var writeDeadline = NIODeadline.distantFuture
    private var inputIsClosed = false
    /// A read that was held back.
    private(set) var hasPendingRead = false

    /// Whoever connects has something to say: a handshake, and then the first byte, have as long as a head each.
    init(isSecure: Bool, _ timeouts: Timeouts, now: NIODeadline) {
        self.timeouts = timeouts
        state = isSecure ? .handshaking : .reading
        deadline = now + timeouts.head
    }

    var isReading: Bool { state == .reading }
    var isClosing: Bool { state == .closing }
    /// Requests are taken; not from a client that does not read responses.
    var takesRequests: Bool { state == .reading && isWritable }
    private var isWritable: Bool { writeDeadline == .distantFuture }
    /// Nothing of a request has come: the connection may end without anybody missing anything.
    private var isAtRest: Bool { state == .handshaking || state == .reading && phase == .idle }

    // MARK: What the client does

    /// - Returns: whether this is news.
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

    /// There is no further request in what has come.
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
        // The client was not the one who was waited for.
        if state == .reading && deadline != .distantFuture { enter(phase, now: now) }
    }

    /// Whether to read now; what is held back is asked for again.
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

    // MARK: What the gateway does

    /// The request that was taken has its response.
    ///
    /// - Parameters:
    ///   - mayContinue: the gateway would take another request.
    ///   - idleDeadline: of a connection that becomes idle now.
    /// - Returns: what the response has to say; nil if nobody waits for it any more.
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
    var endsWithCertificate: Bool { state == .reading && phase == .idle }

    /// Whether the connection ends now that no further request is taken.
    var endsWhenDraining: Bool { isAtRest }

    private mutating func enter(_ phase: RequestDecoder.Phase, now: NIODeadline) {
        self.phase = phase
        deadline = now + timeouts.limit(phase)
    }
}
