package import GatewayCore
package import NIOCore

/// One connection to a region over HTTP/2, from the preface to the last response (RFC 9113).
///
/// Pure: bytes in, bytes and actions out; time is passed in. Whoever runs it writes `output`, and performs `actions` in order.
package struct HTTP2ClientState {
    package enum Action {
        /// The peer is there, and takes so many messages at once.
        case established(streams: Int)
        /// It takes more or fewer from here on; none while it does not show that it is there.
        case changed(streams: Int)
        /// It takes no more messages on this connection.
        case drains
        /// A stream has ended with an answer. `isLate`: its receiver was told before that none came in time.
        case responded(any UpstreamReceiver, UpstreamResponse, isLate: Bool)
        /// A stream has ended without one.
        case failed(any UpstreamReceiver, UpstreamFailure, isLate: Bool)
        /// A message's own time is up, and the region's is not: its stream goes on.
        case timedOut(any UpstreamReceiver)
        case stillAwaited(any UpstreamReceiver)
        /// Nothing more comes of this connection.
        case close
    }

    private struct Stream {
        let receiver: any UpstreamReceiver
        /// How long the stream waits for its answer.
        let limit: NIODeadline
        var isLate = false
        /// Bytes that the peer takes.
        var window: HTTP2SendWindow
        /// What it does not take yet of the content.
        var unsent: ByteBuffer?
        /// Bytes that the peer may send.
        var credit = HTTP2ClientState.streamWindow
        var response = HTTP2Response()
    }

    /// More than is passed on of any response, so that it is never asked for more.
    private static let streamWindow = 2 * UpstreamResponse.contentLimitBytes
    private static let connectionWindow = 1 << 20
    /// Of a response's fields together, decoded, as HTTP/2 counts them.
    private static let fieldBytesLimit = 16 * 1024
    private static let fieldLimit = 128
    /// After so long without a byte from a peer that owes one, it is asked whether it is there; after as long again, it gets no more messages.
    private static let patience = TimeAmount.seconds(1)
    private static let pingData: UInt64 = 0x736B_696C_6C67_6174

    package var output = ByteBuffer()
    package var actions = ActionQueue<Action>()
    private let streamsAtOnce: Int
    private var writer: HTTP2RequestWriter
    private var reader = HTTP2FrameReader()
    private var decoder = HPACKReader(
        listLimit: fieldBytesLimit, fieldLimit: fieldLimit, wanted: HTTP2Response.names)
    private var fields = HTTP2Fields()
    /// A header block whose end has not come.
    private var block: HTTP2HeaderBlock?
    private var numbers = HTTP2StreamNumbers()
    /// By place; nil where there is none.
    private var streams: [Stream?] = []
    private var nextStream: UInt32 = 1
    /// Bytes that the peer takes on all streams together, and on a new one.
    private var window = HTTP2SendWindow()
    private var initialWindow = HTTP2SendWindow.initialBytes
    private var credit: HTTP2ReceiveWindow
    private var peersStreams = Int.max
    private var hasSettings = false
    /// The peer has settings by which it takes messages.
    private var isEstablished = false
    private var isDraining = false
    private var isClosed = false
    /// When the peer last showed that it is there or, if nothing was owed before, when a message was sent.
    private var heard = NIODeadline.uptimeNanoseconds(0)
    private var pinged: NIODeadline?
    private var isSuspended = false

    /// - Parameter streamsAtOnce: never more messages at once, whatever the peer takes.
    package init(writer: HTTP2RequestWriter, streamsAtOnce: Int) {
        self.writer = writer
        self.streamsAtOnce = streamsAtOnce
        output.writeImmutableBuffer(HTTP2Frame.preface)
        output.writeSettings([
            (.enablePush, 0), (.initialWindowSize, UInt32(Self.streamWindow)),
            (.maximumHeaderListSize, UInt32(Self.fieldBytesLimit)),
        ])
        credit = HTTP2ReceiveWindow(bytes: Self.connectionWindow, telling: &output)
    }

    /// Whether a message was written.
    var hasSent: Bool { nextStream > 1 }
    /// Messages that wait for the end of their streams.
    var count: Int { numbers.count }
    private var room: Int { min(streamsAtOnce, peersStreams) }

    // MARK: Requests

    /// Writes a request. False if the connection takes none, and not a byte was written.
    package mutating func send(
        _ request: UpstreamRequest, limit: NIODeadline, receiver: any UpstreamReceiver,
        now: @autoclosure () -> NIODeadline
    ) -> Bool {
        // The peer may take fewer since the message was given this connection.
        guard isEstablished, !isDraining, !isClosed, !isSuspended, numbers.count < room,
            nextStream < UInt32(Int32.max)
        else { return false }
        if numbers.count == 0 { heard = now() }
        let number = nextStream
        nextStream += 2
        let start = output.startHeaders()
        writer.write(request, skill: receiver.skill, to: &output)
        output.endHeaders(at: start, stream: number, endsStream: request.content.readableBytes == 0)
        var stream = Stream(
            receiver: receiver, limit: limit, window: HTTP2SendWindow(bytes: initialWindow), unsent: request.content)
        output.writeData(&stream.unsent, stream: number, within: &stream.window, and: &window)
        let place = numbers.insert(number)
        if place == streams.count { streams.append(nil) }
        streams[place] = consume stream
        return true
    }

    /// The receiver has learned elsewhere what became of its message.
    mutating func stopAwaiting(_ receiver: any UpstreamReceiver) {
        for place in streams.indices where streams[place]?.receiver === receiver { streams[place]?.isLate = true }
    }

    // MARK: Responses

    /// - Throws: what the connection cannot go on after; the caller ends it.
    package mutating func receive(_ bytes: ByteBuffer, now: NIODeadline) throws(HTTP2Error) {
        heard = now
        pinged = nil
        if isSuspended {
            isSuspended = false
            if !isDraining { actions.append(.changed(streams: room)) }
        }
        reader.receive(bytes)
        while let frame = try reader.next() {
            guard hasSettings || (frame.kind == .settings && !frame.has(HTTP2Frame.Flag.acknowledgement)) else {
                throw HTTP2Error(.protocolError, "the first frame is not SETTINGS")
            }
            try receive(frame)
        }
    }

    private mutating func receive(_ frame: HTTP2Frame) throws(HTTP2Error) {
        if let block {
            guard frame.kind == .continuation, frame.stream == block.stream else {
                throw HTTP2Error(.protocolError, "a frame interrupts the header block of stream \(block.stream)")
            }
        }
        switch frame.kind {
        case .data: try receiveData(frame)
        case .headers:
            try receiveBlock(HTTP2HeaderBlock(frame))
        case .continuation:
            guard var block else { throw HTTP2Error(.protocolError, "CONTINUATION comes without a header block") }
            self.block = nil  // lets its bytes be extended in place
            try block.append(frame, limitBytes: Self.fieldBytesLimit)
            try receiveBlock(block)
        case .resetStream: try receiveReset(frame)
        case .settings: try receiveSettings(frame)
        case .ping: try receivePing(frame)
        case .goAway: try receiveGoAway(frame)
        case .windowUpdate: try receiveWindowUpdate(frame)
        case .pushPromise: throw HTTP2Error(.protocolError, "PUSH_PROMISE comes though it is not allowed")
        case .priority, nil: break
        }
    }

    /// The place of a stream; nil for one that has ended.
    private func place(of number: UInt32) throws(HTTP2Error) -> Int? {
        if let place = numbers.place(of: number) { return place }
        guard number & 1 == 1, number < nextStream else {
            throw HTTP2Error(.protocolError, "a frame is for stream \(number), which was not opened")
        }
        return nil
    }

    private mutating func receiveBlock(_ block: HTTP2HeaderBlock) throws(HTTP2Error) {
        let place = try place(of: block.stream)
        self.block = block.isComplete ? nil : block
        guard block.isComplete else { return }
        // Of a stream that has ended, too: what follows depends on it.
        try decoder.decode(block.bytes.readableBytesUInt8Span, into: &fields)
        guard let place else { return }
        do throws(HTTP2Response.Problem) {
            guard !fields.isTooLarge || streams[place]?.response.head != nil else {
                throw .malformed("the response has more than \(Self.fieldBytesLimit) bytes of fields")
            }
            try streams[place]?.response.receive(fields, endsStream: block.endsStream)
            if block.endsStream { try end(place) }
        } catch {
            abandon(place, error)
        }
    }

    private mutating func receiveData(_ frame: HTTP2Frame) throws(HTTP2Error) {
        // Padding counts, and so does what comes for a stream that has ended.
        try credit.received(frame.payload.readableBytes, telling: &output)
        let content = try frame.unpadded()
        guard let place = try place(of: frame.stream), var stream = streams[place] else { return }
        stream.credit -= frame.payload.readableBytes
        guard stream.credit >= 0 else {
            throw HTTP2Error(.flowControlError, "more DATA came than stream \(frame.stream) has room for")
        }
        streams[place] = nil  // lets its content be extended in place
        do throws(HTTP2Response.Problem) {
            try stream.response.receive(content)
            streams[place] = stream
            if frame.has(HTTP2Frame.Flag.endStream) {
                try end(place)
            } else if stream.response.isOverlong {
                stop(place, .timeout)
            }
        } catch {
            streams[place] = stream
            abandon(place, error)
        }
    }

    /// The response is complete.
    private mutating func end(_ place: Int) throws(HTTP2Response.Problem) {
        // Changed in place, and then moved: a copy of a stream costs more than all else that is done with it here.
        guard let answer = streams[place]?.response.take() else {
            throw .malformed("the stream ends before the status")
        }
        let number = numbers.number(at: place)
        guard let stream = remove(place) else { return }
        // It was answered before it was read to its end, which nobody waits for.
        if stream.unsent != nil { output.writeReset(stream: number, .cancel) }
        actions.append(.responded(stream.receiver, answer, isLate: stream.isLate))
    }

    private mutating func abandon(_ place: Int, _ problem: HTTP2Response.Problem) {
        switch problem {
        case .malformed(let detail): stop(place, .malformedAnswer(detail))
        }
    }

    /// Ends a stream whose peer has not ended it.
    private mutating func stop(_ place: Int, _ failure: UpstreamFailure) {
        output.writeReset(stream: numbers.number(at: place), .cancel)
        conclude(place, failure)
    }

    /// What has come of the response decides, provided its status did.
    private mutating func conclude(_ place: Int, _ failure: UpstreamFailure) {
        guard let stream = remove(place) else { return }
        if let answer = stream.response.soFar {
            actions.append(.responded(stream.receiver, answer, isLate: stream.isLate))
        } else {
            actions.append(.failed(stream.receiver, failure, isLate: stream.isLate))
        }
    }

    private mutating func remove(_ place: Int) -> Stream? {
        guard let stream = streams[place].take() else { return nil }
        numbers.remove(at: place)
        if numbers.count == 0 && isSuspended { close() }
        return stream
    }

    private mutating func receiveReset(_ frame: HTTP2Frame) throws(HTTP2Error) {
        let code = try frame.resetCode()
        guard let place = try place(of: frame.stream) else { return }
        // Nothing of the request was processed (RFC 9113 section 8.7).
        let isRefused = code == HTTP2Error.Code.refusedStream.rawValue
        conclude(place, isRefused ? .notProcessed : .connectionLost)
    }

    // MARK: The connection

    private mutating func receiveSettings(_ frame: HTTP2Frame) throws(HTTP2Error) {
        guard let settings = try frame.settings() else { return }
        let before = room
        var newWindow = initialWindow
        for (setting, value) in settings {
            switch setting {
            case .headerTableSize: writer.tableOffered(Int(value))
            case .enablePush:
                guard value == 0 else {
                    throw HTTP2Error(.protocolError, "SETTINGS_ENABLE_PUSH of a server is \(value)")
                }
            case .maximumConcurrentStreams: peersStreams = Int(value)
            case .initialWindowSize: newWindow = Int(value)
            case .maximumFrameSize, .maximumHeaderListSize, nil: break
            }
        }
        // Once, however often it is set: each time concerns all streams.
        try setInitialWindow(newWindow)
        output.writeSettingsAcknowledgement()
        // Behind it: the peer may count by its new windows only then.
        writeUnsent()
        hasSettings = true
        if !isEstablished {
            guard room > 0, !isDraining else { return }
            isEstablished = true
            actions.append(.established(streams: room))
        } else if room != before && !isSuspended && !isDraining {
            actions.append(.changed(streams: room))
        }
    }

    private mutating func setInitialWindow(_ bytes: Int) throws(HTTP2Error) {
        let change = bytes - initialWindow
        guard change != 0 else { return }
        initialWindow = bytes
        for place in streams.indices where streams[place] != nil { try streams[place]?.window.grow(by: change) }
    }

    private mutating func receiveWindowUpdate(_ frame: HTTP2Frame) throws(HTTP2Error) {
        guard let increment = try frame.windowIncrement() else {
            // An error of the stream alone (RFC 9113 section 6.9).
            if let place = try place(of: frame.stream) { stop(place, .malformedAnswer("WINDOW_UPDATE adds nothing")) }
            return
        }
        if frame.stream == 0 {
            try window.grow(by: increment)
            writeUnsent()
        } else if let place = try place(of: frame.stream), var stream = streams[place] {
            try stream.window.grow(by: increment)
            output.writeData(&stream.unsent, stream: frame.stream, within: &stream.window, and: &window)
            streams[place] = stream
        }
    }

    private mutating func writeUnsent() {
        for place in streams.indices {
            guard window.bytes > 0 else { return }
            guard var stream = streams[place], stream.unsent != nil else { continue }
            output.writeData(
                &stream.unsent, stream: numbers.number(at: place), within: &stream.window, and: &window)
            streams[place] = stream
        }
    }

    private mutating func receivePing(_ frame: HTTP2Frame) throws(HTTP2Error) {
        let data = try frame.pingData()
        if !frame.has(HTTP2Frame.Flag.acknowledgement) { output.writePing(data, isAcknowledgement: true) }
    }

    private mutating func receiveGoAway(_ frame: HTTP2Frame) throws(HTTP2Error) {
        let last = try frame.lastStream()
        if !isDraining {
            isDraining = true
            if isEstablished { actions.append(.drains) } else { close() }
        }
        for place in streams.indices where numbers.number(at: place) > last { conclude(place, .notProcessed) }
    }

    // MARK: Time

    /// Called about ten times a second, and when a message's time is up.
    mutating func timePassed(now: NIODeadline) {
        for place in streams.indices {
            guard let stream = streams[place] else { continue }
            let deadline = stream.receiver.deadline
            if stream.limit <= now {
                // After a pause of the process both may be over; the end is told in any case.
                if !stream.isLate && deadline < stream.limit && stream.response.head == nil { timeOut(place) }
                stop(place, .timeout)
            } else if !stream.isLate && deadline <= now {
                // As far as an answer arrived, its status decides.
                if stream.response.head != nil { stop(place, .timeout) } else { timeOut(place) }
            } else if !stream.isLate {
                actions.append(.stillAwaited(stream.receiver))
            }
        }
        guard numbers.count > 0 else { return }
        if let pinged {
            guard !isSuspended, now - pinged >= Self.patience else { return }
            isSuspended = true
            if !isDraining { actions.append(.changed(streams: 0)) }
        } else if isEstablished, now - heard >= Self.patience {
            pinged = now
            output.writePing(Self.pingData, isAcknowledgement: false)
        }
    }

    private mutating func timeOut(_ place: Int) {
        guard let receiver = streams[place]?.receiver else { return }
        streams[place]?.isLate = true
        actions.append(.timedOut(receiver))
    }

    // MARK: The end

    /// The connection is gone, or is given up for what the peer has sent.
    package mutating func end(_ failure: UpstreamFailure) {
        close()
        for place in streams.indices where streams[place] != nil { conclude(place, failure) }
    }

    /// Tells the peer why nothing more comes.
    mutating func goAway(_ error: HTTP2Error = HTTP2Error(.noError, "")) {
        guard !isClosed else { return }
        output.writeGoAway(last: 0, error.code, error.detail)
    }

    private mutating func close() {
        guard !isClosed else { return }
        isClosed = true
        actions.append(.close)
    }
}
