import GatewayCore
import NIOCore

/// What happens to single streams.
extension HTTP2ServerState {
    struct Stream {
        /// Until its end has come.
        var request: HTTP2Request?
        /// When it must have come.
        var contentDeadline = NIODeadline.distantFuture
        /// `begun` was told.
        var isBegun = false
        /// `request` was told, and there is no response yet.
        var isHandled = false
        var isHead = false
        /// The client sends no more.
        var hasEnded = false
        /// The client gets no response. One that is handled counts until there is one all the same: what it costs is not over.
        var isReset = false
        var window: HTTP2SendWindow
        /// What the client does not take yet of the response.
        var unsent: ByteBuffer?
        /// When it must have taken that or, once that is done, ended its own side.
        var writeDeadline = NIODeadline.distantFuture
        /// The response is written whole. What the client still sends is not looked at.
        var isAnswered = false
    }

    /// Of all requests that have not come whole, beside one content of full size. A request beyond it is refused, so that a connection
    /// cannot make the gateway keep much, and clients that send many large contents at once get to an end.
    private static let unfinishedLimit = 256 << 10
    /// How long a client whose response is complete may take to end its side.
    private static let lingerTime = TimeAmount.seconds(2)
    /// `DATA` that brings less counts as a frame that brings nothing.
    private static let smallDataBytes = 16

    /// Whether GOAWAY has named the last stream that is taken.
    private var isFinal: Bool {
        if case .final = draining { true } else { false }
    }

    var isReceivingContent: Bool { streams.indices.contains { streams[$0]?.request != nil } }

    /// The place of a stream; nil for one that is over.
    private func place(of number: UInt32) throws(HTTP2Error) -> Int? {
        if let place = numbers.place(of: number) { return place }
        guard number & 1 == 1, number <= lastStream || isFinal else {
            throw HTTP2Error(.protocolError, "a frame is for stream \(number), which was not opened")
        }
        return nil
    }

    // MARK: Requests

    /// Whether `HEADERS` may come for the stream (RFC 9113 sections 5.1 and 5.1.1).
    func checkMayBegin(_ number: UInt32) throws(HTTP2Error) {
        guard number & 1 == 1 else {
            throw HTTP2Error(.protocolError, "HEADERS are for stream \(number); streams of clients have odd numbers")
        }
        guard number <= lastStream, numbers.place(of: number) == nil else { return }
        switch closedStreams.reason(for: number) {
        case .resetHere, .resetByClient: break
        case .endedByClient: throw HTTP2Error(.streamClosed, "HEADERS are for stream \(number), which has ended")
        case nil: throw HTTP2Error(.protocolError, "stream \(number) is opened after stream \(lastStream)")
        }
    }

    mutating func receiveFields(of block: HTTP2HeaderBlock, _ now: NIODeadline) throws(HTTP2Error) {
        if let place = numbers.place(of: block.stream) {
            try receiveTrailers(of: block, at: place, now)
        } else if block.stream > lastStream {
            try open(block, now)
        } else {
            try receivedBehindReset(block.stream, now)
        }
    }

    /// What comes for a stream that is over: on its way when the gateway has reset it, or an error of that stream.
    private mutating func receivedBehindReset(_ number: UInt32, _ now: NIODeadline) throws(HTTP2Error) {
        switch closedStreams.reason(for: number) {
        case .resetByClient, .endedByClient: output.writeReset(stream: number, .streamClosed)
        case .resetHere, nil: break
        }
        try spend(now)
    }

    private mutating func open(_ block: HTTP2HeaderBlock, _ now: NIODeadline) throws(HTTP2Error) {
        // Of those above the last that GOAWAY has named, the client knows that they are not processed.
        if isFinal { return }
        let number = block.stream
        lastStream = number
        guard numbers.count < limits.streams else {
            try spend(now)
            closedStreams.append(number, .resetHere)
            return output.writeReset(stream: number, .refusedStream)
        }
        streamBegins()
        var stream = Stream(window: HTTP2SendWindow(bytes: initialWindow))
        stream.hasEnded = block.endsStream
        stream.isHead = requests.isHead(fields)
        var flaw: HTTP2Request.Flaw?
        do throws(HTTP2Request.Flaw) {
            let request = try requests.request(fields)
            stream.request = request
            unfinished += request.bytes
            stream.contentDeadline = now + timeouts.content
        } catch {
            flaw = error
        }
        let place = numbers.insert(number)
        if place == streams.count { streams.append(stream) } else { streams[place] = stream }
        if let flaw {
            try refuse(place, flaw, now)
        } else if block.endsStream {
            try finish(place, now)
        } else {
            try refuseIfTooMuch(place, now)
        }
    }

    private mutating func refuseIfTooMuch(_ place: Int, _ now: NIODeadline) throws(HTTP2Error) {
        guard unfinished > Self.unfinishedLimit + limits.requests.contentBytes else { return }
        try fail(place, .refusedStream, now)
    }

    private mutating func receiveTrailers(
        of block: HTTP2HeaderBlock, at place: Int, _ now: NIODeadline
    ) throws(HTTP2Error) {
        guard streams[place]?.hasEnded == false else { return try fail(place, .streamClosed, now) }
        guard block.endsStream else { return try fail(place, .protocolError, now) }
        if streams[place]?.isAnswered == true { return remove(place, now, .endedByClient) }
        streams[place]?.hasEnded = true
        if let flaw = requests.flaw(inTrailers: fields) {
            try refuse(place, flaw, now)
        } else {
            try finish(place, now)
        }
    }

    mutating func receiveData(_ frame: HTTP2Frame, _ now: NIODeadline) throws(HTTP2Error) {
        try credit.received(frame.payload.readableBytes, telling: &output)
        let content = try frame.unpadded()
        let isLast = frame.has(HTTP2Frame.Flag.endStream)
        if !isLast && content.readableBytes < Self.smallDataBytes { try spend(now) }
        guard let place = try place(of: frame.stream) else {
            return try receivedBehindReset(frame.stream, now)
        }
        guard streams[place]?.hasEnded == false else { return try fail(place, .streamClosed, now) }
        streams[place]?.hasEnded = isLast
        guard var request = takeRequest(place) else { return receiveUnneeded(frame, place, now) }
        let padding = frame.payload.readableBytes - content.readableBytes
        if padding > 0 && !isLast { output.writeWindowUpdate(stream: frame.stream, by: padding) }
        do throws(HTTP2Request.Flaw) {
            try request.receive(content, isLast: isLast)
        } catch {
            // Nothing of it is kept, and the client may need room to come to its end.
            if !isLast { output.writeWindowUpdate(stream: frame.stream, by: request.content.readableBytes) }
            return try refuse(place, error, now)
        }
        streams[place]?.request = request
        unfinished += request.bytes
        if isLast { try finish(place, now) } else { try refuseIfTooMuch(place, now) }
    }

    /// Content of a request that is refused, or answered without it: some clients look at the response only behind the last of it.
    private mutating func receiveUnneeded(_ frame: HTTP2Frame, _ place: Int, _ now: NIODeadline) {
        guard streams[place]?.hasEnded == true else {
            guard frame.payload.readableBytes > 0 else { return }
            return output.writeWindowUpdate(stream: frame.stream, by: frame.payload.readableBytes)
        }
        if streams[place]?.isAnswered == true { remove(place, now, .endedByClient) }
    }

    /// The request is complete.
    private mutating func finish(_ place: Int, _ now: NIODeadline) throws(HTTP2Error) {
        guard let request = takeRequest(place) else { return }
        do throws(HTTP2Request.Flaw) {
            actions.append(.request(try request.complete(), stream: numbers.number(at: place)))
            streams[place]?.isHandled = true
        } catch {
            try refuse(place, error, now)
        }
    }

    /// So that its content is counted no longer, and can be extended in place.
    private mutating func takeRequest(_ place: Int) -> HTTP2Request? {
        guard let request = streams[place]?.request.take() else { return nil }
        unfinished -= request.bytes
        return request
    }

    private mutating func refuse(
        _ place: Int, _ flaw: HTTP2Request.Flaw, _ now: NIODeadline
    ) throws(HTTP2Error) {
        switch flaw {
        case .malformed: try fail(place, .protocolError, now)
        case .refused(let error, let id):
            actions.append(.refused(Refusal(error), id, stream: numbers.number(at: place)))
        }
    }

    /// What was read has no further whole frame: requests whose content has not come are looked at meanwhile.
    mutating func readEnded() {
        guard !isClosed else { return }
        for place in streams.indices {
            guard let request = streams[place]?.request, streams[place]?.isBegun == false else { continue }
            streams[place]?.isBegun = true
            actions.append(
                .begun(
                    request.withoutContent, stream: numbers.number(at: place), expectsContinue: request.expectsContinue)
            )
        }
    }

    // MARK: Responses

    /// The client may send the content of its request.
    mutating func continues(stream number: UInt32) {
        guard !isClosed, let place = numbers.place(of: number), streams[place]?.request != nil else { return }
        writer.writeContinue(stream: number, to: &output)
    }

    /// Whether the request of a stream was HEAD.
    func isHead(stream number: UInt32) -> Bool {
        numbers.place(of: number).flatMap { streams[$0]?.isHead } ?? false
    }

    /// - Parameter response: whole, as HTTP/1.1 has it.
    mutating func respond(_ response: ByteBuffer, stream number: UInt32, now: NIODeadline) {
        guard !isClosed, let place = numbers.place(of: number) else { return }
        _ = takeRequest(place)
        guard var stream = streams[place], !stream.isReset else { return remove(place, now, .resetByClient) }
        var response = response
        writer.writeHead(&response, stream: number, to: &output)
        stream.isHandled = false
        stream.unsent = response.readableBytes > 0 ? response : nil
        stream.writeDeadline = now + timeouts.write
        streams[place] = stream
        writeUnsent(place, now)
    }

    /// Writes as much of a response as the client takes.
    private mutating func writeUnsent(_ place: Int, _ now: NIODeadline) {
        guard var stream = streams[place], !stream.isHandled, stream.request == nil else { return }
        output.writeData(&stream.unsent, stream: numbers.number(at: place), within: &stream.window, and: &window)
        streams[place] = stream
        guard stream.unsent == nil else {
            // Who has closed its side cannot say any more that it takes the rest.
            if inputIsClosed { remove(place, now, .endedByClient) }
            return
        }
        answered()
        if stream.hasEnded || inputIsClosed { return remove(place, now, .endedByClient) }
        // Some clients lose the response if the stream is reset with it.
        streams[place]?.isAnswered = true
        streams[place]?.writeDeadline = now + Self.lingerTime
    }

    mutating func writeUnsent(now: NIODeadline) {
        for place in streams.indices {
            guard window.bytes > 0 else { return }
            if streams[place]?.unsent != nil { writeUnsent(place, now) }
        }
    }

    mutating func receiveWindowUpdate(_ frame: HTTP2Frame, _ now: NIODeadline) throws(HTTP2Error) {
        try spend(now)
        let increment = try frame.windowIncrement()
        guard frame.stream > 0 else {
            try window.grow(by: increment ?? 0)
            return writeUnsent(now: now)
        }
        guard let place = try place(of: frame.stream) else { return }
        guard let increment else { return try fail(place, .protocolError, now) }
        do throws(HTTP2Error) {
            try streams[place]?.window.grow(by: increment)
        } catch {
            return try fail(place, .flowControlError, now)
        }
        if streams[place]?.unsent != nil { writeUnsent(place, now) }
    }

    // MARK: The end

    mutating func receiveReset(_ frame: HTTP2Frame, _ now: NIODeadline) throws(HTTP2Error) {
        _ = try frame.resetCode()
        try spend(now)
        guard let place = try place(of: frame.stream) else { return }
        if streams[place]?.isAnswered == false { resets += 1 }
        streams[place]?.hasEnded = true
        drop(place, now, .resetByClient)
    }

    /// Ends a stream for what its client has done.
    private mutating func fail(_ place: Int, _ code: HTTP2Error.Code, _ now: NIODeadline) throws(HTTP2Error) {
        output.writeReset(stream: numbers.number(at: place), code)
        drop(place, now, .resetHere)
        try spend(now)
    }

    /// The stream is over, with or without its response.
    private mutating func drop(_ place: Int, _ now: NIODeadline, _ reason: HTTP2ClosedStreams.Reason) {
        if streams[place]?.isHandled == true { streams[place]?.isReset = true } else { remove(place, now, reason) }
    }

    private mutating func remove(
        _ place: Int, _ now: NIODeadline, _ reason: HTTP2ClosedStreams.Reason
    ) {
        _ = takeRequest(place)
        closedStreams.append(numbers.number(at: place), reason)
        vacate(place)
        streamEnded(now: now)
    }

    /// Streams that wait for something that cannot come any more: the rest of a request, or room for the rest of a response.
    mutating func dropWaiting() {
        for place in streams.indices where streams[place]?.isHandled == false {
            _ = takeRequest(place)
            vacate(place)
        }
    }

    /// The place can be another stream's.
    mutating func vacate(_ place: Int) {
        streams[place] = nil
        numbers.remove(at: place)
    }

    mutating func contentsResume(now: NIODeadline) {
        for place in streams.indices where streams[place]?.request != nil {
            streams[place]?.contentDeadline = now + timeouts.content
        }
    }

    mutating func endOverdueStreams(_ now: NIODeadline) {
        for place in streams.indices {
            guard let stream = streams[place] else { continue }
            if (stream.unsent != nil || stream.isAnswered) && stream.writeDeadline <= now {
                // RFC 9113 section 8.1.
                output.writeReset(stream: numbers.number(at: place), stream.isAnswered ? .noError : .cancel)
                remove(place, now, .resetHere)
            } else if stream.request != nil && stream.contentDeadline <= now,
                let request = takeRequest(place)
            {
                let refusal = Refusal(.requestTimeout, "the content of the request did not arrive in time")
                actions.append(.refused(refusal, request.id, stream: numbers.number(at: place)))
            }
        }
    }
}
