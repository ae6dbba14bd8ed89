import GatewayCore
import NIOCore

/// One connection from a client over HTTP/2, from the preface to the last response (RFC 9113).
///
/// Pure: bytes in, bytes and actions out; time is passed in. Whoever runs it writes `output`, and performs `actions` in order.
struct HTTP2ServerState {
    enum Action {
        case request(InboundRequest, stream: UInt32)
        /// Its content has not come whole. It may be refused already.
        ///
        /// `expectsContinue`: its client waits to be told that it is not.
        case begun(InboundRequest, stream: UInt32, expectsContinue: Bool)
        case refused(Refusal, ExchangeID, stream: UInt32)
        /// Nothing more is taken, and `output` is the last that is written.
        case close
    }

    struct Limits: Equatable {
        var requests = RequestDecoder.Limits()
        /// Requests that are received, handled or answered at once.
        var streams = 100
    }

    enum Draining {
        case no
        /// The client is told as soon as it waits for nothing, and at this time at the latest.
        case whenIdle(until: NIODeadline)
        /// The client has been told, and what it sends before it knows is taken: until this time at the latest.
        case announced(until: NIODeadline)
        /// What it sends above the last stream is not.
        case final
    }

    private static let connectionWindow = 1 << 20
    /// `:method`, `:scheme`, `:authority` and `:path`.
    private static let pseudoFields = 4
    private static let announcementData: UInt64 = 0x736B_696C_6C67_6174
    private static let announcementTime = TimeAmount.seconds(1)
    private static let noStreamYet: UInt32 = 0x7FFF_FFFF

    var output = ByteBuffer()
    var actions = CircularBuffer<Action>(initialCapacity: 4)
    let limits: Limits
    let timeouts: HTTPConnectionState.Timeouts
    private var reader = HTTP2FrameReader()
    private var unreadPreface = HTTP2Frame.preface
    var decoder: HPACKReader
    var fields = HTTP2Fields()
    var requests: HTTP2RequestReader
    var writer = HTTP2ResponseWriter()
    /// A header block whose end has not come.
    private var block: HTTP2HeaderBlock?
    var numbers = HTTP2StreamNumbers()
    /// By place; nil where there is none.
    var streams: [Stream?] = []
    /// Of requests that have not come whole, in bytes.
    var unfinished = 0
    /// The highest that the client has opened.
    var lastStream: UInt32 = 0
    var closedStreams = HTTP2ClosedStreams()
    /// How much content the client takes on all streams together, and on a new one.
    var window = HTTP2SendWindow()
    private(set) var initialWindow = HTTP2SendWindow.initialBytes
    var credit: HTTP2ReceiveWindow
    private var budget: HTTP2FrameBudget
    private var hasSettings = false
    private(set) var draining = Draining.no
    private(set) var isClosed = false
    private(set) var inputIsClosed = false
    /// When the settings, or the rest of a frame or of a header block, must have come.
    private var headDeadline: NIODeadline
    /// When a connection without a stream has been idle for too long.
    private var idleDeadline = NIODeadline.distantFuture
    /// Streams that the client has reset.
    var resets = 0
    /// The connection was ended since the client sent too much of what costs it little: frames that are part of no request, or header blocks
    /// that are too long.
    private(set) var isFlooded = false

    init(limits: Limits, _ timeouts: HTTPConnectionState.Timeouts, now: NIODeadline) {
        self.limits = limits
        self.timeouts = timeouts
        let requests = limits.requests
        self.requests = HTTP2RequestReader(limits: requests)
        decoder = HPACKReader(listLimit: requests.headBytes, fieldLimit: requests.fields + Self.pseudoFields)
        budget = HTTP2FrameBudget(now: now)
        headDeadline = now + timeouts.head
        // One byte more than the largest content: it is to be seen that a content is larger.
        let streamWindow = min(Int(Int32.max), max(requests.contentBytes + 1, HTTP2SendWindow.initialBytes))
        output.writeSettings([
            (.maximumConcurrentStreams, UInt32(clamping: limits.streams)),
            (.initialWindowSize, UInt32(clamping: streamWindow)),
            (.maximumHeaderListSize, UInt32(clamping: requests.headBytes)),
        ])
        credit = HTTP2ReceiveWindow(bytes: Self.connectionWindow, telling: &output)
    }

    /// Requests that are received, handled or answered now.
    var openStreams: Int { numbers.count }

    // MARK: Frames

    mutating func receive(_ bytes: ByteBuffer) {
        if !isClosed { reader.receive(bytes) }
    }

    /// Reads one frame. False if no further one has come whole.
    mutating func next(now: NIODeadline) -> Bool {
        guard !isClosed else { return false }
        do throws(HTTP2Error) {
            guard try readPreface(), let frame = try reader.next() else {
                awaitRest(now)
                return false
            }
            if hasSettings && block == nil { headDeadline = .distantFuture }
            try receive(frame, now)
        } catch {
            end(error)
        }
        return true
    }

    private mutating func readPreface() throws(HTTP2Error) -> Bool {
        guard unreadPreface.readableBytes > 0 else { return true }
        guard reader.skip(&unreadPreface) else {
            throw HTTP2Error(.protocolError, "the connection does not start with the preface of HTTP/2")
        }
        return unreadPreface.readableBytes == 0
    }

    /// What has begun to come must come to its end soon; contents have a time limit of their own.
    private mutating func awaitRest(_ now: NIODeadline) {
        guard headDeadline == .distantFuture, reader.isWithinFrame, !isReceivingContent else { return }
        headDeadline = now + timeouts.head
    }

    private mutating func receive(_ frame: HTTP2Frame, _ now: NIODeadline) throws(HTTP2Error) {
        guard hasSettings || (frame.kind == .settings && !frame.has(HTTP2Frame.Flag.acknowledgement)) else {
            throw HTTP2Error(.protocolError, "the first frame is not SETTINGS")
        }
        if let block {
            guard frame.kind == .continuation, frame.stream == block.stream else {
                throw HTTP2Error(.protocolError, "a frame interrupts the header block of stream \(block.stream)")
            }
        }
        switch frame.kind {
        case .data: try receiveData(frame, now)
        case .headers:
            try checkMayBegin(frame.stream)
            try receive(HTTP2HeaderBlock(frame), now)
        case .continuation:
            guard var block else { throw HTTP2Error(.protocolError, "CONTINUATION comes without a header block") }
            self.block = nil  // lets its bytes be extended in place
            try block.append(frame, limitBytes: limits.requests.headBytes)
            try receive(block, now)
        case .resetStream: try receiveReset(frame, now)
        case .settings: try receiveSettings(frame, now)
        case .ping: try receivePing(frame, now)
        case .goAway:
            _ = try frame.lastStream()
            try spend(now)
        case .windowUpdate: try receiveWindowUpdate(frame, now)
        case .pushPromise: throw HTTP2Error(.protocolError, "PUSH_PROMISE comes from a client")
        case .priority: try receivePriority(frame, now)
        case nil: try spend(now)
        }
    }

    private mutating func receive(_ block: HTTP2HeaderBlock, _ now: NIODeadline) throws(HTTP2Error) {
        guard block.isComplete else {
            if headDeadline == .distantFuture { headDeadline = now + timeouts.head }
            self.block = block
            return
        }
        headDeadline = .distantFuture
        // Whatever becomes of them: the blocks that follow depend on it.
        try decoder.decode(block.bytes.readableBytesUInt8Span, into: &fields)
        try receiveFields(of: block, now)
    }

    /// For a frame that is part of no request.
    mutating func spend(_ now: NIODeadline) throws(HTTP2Error) {
        guard !budget.spend(now: now) else { return }
        throw HTTP2Error(.enhanceYourCalm, "too many frames come that are part of no request")
    }

    // MARK: The connection

    private mutating func receiveSettings(_ frame: HTTP2Frame, _ now: NIODeadline) throws(HTTP2Error) {
        try spend(now)
        guard let settings = try frame.settings() else { return }
        var newWindow = initialWindow
        for (setting, value) in settings {
            switch setting {
            case .headerTableSize: writer.tableOffered(Int(value))
            case .initialWindowSize: newWindow = Int(value)
            case .enablePush, .maximumConcurrentStreams, .maximumFrameSize, .maximumHeaderListSize, nil: break
            }
        }
        // Once, however often it is set: each time concerns all streams.
        try setInitialWindow(newWindow)
        output.writeSettingsAcknowledgement()
        // Behind it: the client may count by its new windows only then.
        writeUnsent(now: now)
        guard !hasSettings else { return }
        hasSettings = true
        headDeadline = .distantFuture
        idleDeadline = now + timeouts.idle
    }

    private mutating func setInitialWindow(_ bytes: Int) throws(HTTP2Error) {
        let change = bytes - initialWindow
        guard change != 0 else { return }
        initialWindow = bytes
        for place in streams.indices where streams[place] != nil { try streams[place]?.window.grow(by: change) }
    }

    private mutating func receivePing(_ frame: HTTP2Frame, _ now: NIODeadline) throws(HTTP2Error) {
        let data = try frame.pingData()
        try spend(now)
        if !frame.has(HTTP2Frame.Flag.acknowledgement) {
            output.writePing(data, isAcknowledgement: true)
        } else if case .announced = draining, data == Self.announcementData {
            stopTaking()
        }
    }

    /// Priorities are deprecated (RFC 9113 section 5.3.2), and say nothing here.
    private mutating func receivePriority(_ frame: HTTP2Frame, _ now: NIODeadline) throws(HTTP2Error) {
        try spend(now)
        guard frame.stream > 0 else { throw HTTP2Error(.protocolError, "PRIORITY is for stream 0") }
        guard let word: UInt32 = frame.payload.getInteger(at: frame.payload.readerIndex),
            frame.payload.readableBytes == 5
        else { throw HTTP2Error(.frameSizeError, "PRIORITY has not 5 bytes") }
        guard word & 0x7FFF_FFFF != frame.stream else {
            throw HTTP2Error(.protocolError, "stream \(frame.stream) depends on itself")
        }
    }

    // MARK: The end

    /// The client is told that the connection ends as soon as none of its requests is being answered: there are clients that give up what
    /// they wait for when they are told.
    ///
    /// - Parameter limit: it is told at this time all the same.
    mutating func drain(until limit: NIODeadline, now: NIODeadline) {
        guard !isClosed else { return }
        switch draining {
        case .no: draining = .whenIdle(until: limit)
        case .whenIdle(let earlier): draining = .whenIdle(until: min(earlier, limit))
        case .announced, .final: return
        }
        // Where there is time, a new connection is good for its first request.
        if numbers.count == 0 && (lastStream > 0 || limit < .distantFuture) { announceEnd(now: now) }
    }

    /// Tells the client that the connection ends, in two steps (RFC 9113 section 6.8): requests that are on their way meanwhile are taken.
    mutating func announceEnd(now: NIODeadline) {
        guard !isClosed else { return }
        switch draining {
        case .no, .whenIdle: break
        case .announced, .final: return
        }
        // In this order: there are clients that take nothing else behind GOAWAY, and lose what they have read with it.
        output.writePing(Self.announcementData, isAcknowledgement: false)
        output.writeGoAway(last: Self.noStreamYet, .noError)
        draining = .announced(until: now + Self.announcementTime)
    }

    /// No further request is taken. Ends when those that were have their responses.
    private mutating func stopTaking() {
        draining = .final
        output.writeGoAway(last: lastStream, .noError)
        if numbers.count == 0 { close() }
    }

    /// The client closes its side, and may still wait for responses.
    mutating func inputClosed() {
        guard !isClosed else { return }
        inputIsClosed = true
        dropWaiting()
        if numbers.count == 0 { close() }
    }

    mutating func streamEnded(now: NIODeadline) {
        guard numbers.count == 0, !isClosed else { return }
        idleDeadline = now + timeouts.idle
        switch draining {
        case .final: close()
        case .whenIdle where !inputIsClosed: announceEnd(now: now)
        case .no, .whenIdle, .announced: if inputIsClosed { close() }
        }
    }

    mutating func streamBegins() { idleDeadline = .distantFuture }

    mutating func answered() { budget.answered() }

    private mutating func end(_ error: HTTP2Error) {
        guard !isClosed else { return }
        isFlooded = error.code == .enhanceYourCalm
        output.writeGoAway(last: lastStream, error.code, error.detail)
        close()
    }

    /// The connection is gone, or to be closed at once.
    mutating func close() {
        guard !isClosed else { return }
        isClosed = true
        // Whoever still has a request is told nothing, and need not keep this.
        for place in streams.indices { vacate(place) }
        unfinished = 0
        (block, reader) = (nil, HTTP2FrameReader())
        actions.append(.close)
    }

    // MARK: Time

    /// What the client sends is read again: whatever it has begun gets its whole time once more.
    mutating func readingResumes(now: NIODeadline) {
        if headDeadline != .distantFuture { headDeadline = now + timeouts.head }
        contentsResume(now: now)
    }

    /// - Parameter isReading: whether what the client sends is read. While it is not, nothing of the client's can be late.
    mutating func timePassed(now: NIODeadline, isReading: Bool = true) {
        guard !isClosed else { return }
        if isReading && headDeadline <= now {
            return end(HTTP2Error(.noError, "a frame or the head of a request did not arrive in time"))
        }
        if numbers.count == 0 && idleDeadline <= now { return end(HTTP2Error(.noError, "the connection was idle")) }
        if isReading { endOverdueStreams(now) }
        switch draining {
        case .whenIdle(let until) where until <= now: announceEnd(now: now)
        case .announced(let until) where until <= now: stopTaking()
        case .no, .whenIdle, .announced, .final: break
        }
    }
}
