import GatewayCore
import NIOCore
import Testing

@testable import GatewayServer

/// What a connection does with each thing that can happen to it, at each moment.
struct HTTPConnectionStateTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let timeouts = HTTPConnectionState.Timeouts(
        head: .seconds(10), content: .seconds(20), idle: .seconds(60), write: .seconds(5))

    private func connection(isSecure: Bool = false) -> HTTPConnectionState {
        HTTPConnectionState(isSecure: isSecure, timeouts, now: start)
    }

    private func head(_ text: String = "GET / HTTP/1.1\r\nHost: x\r\n\r\n") throws -> RequestHead {
        var decoder = RequestDecoder()
        decoder.receive(ByteBuffer(string: text))
        guard case .request(let request) = decoder.next() else { throw Unreadable() }
        return request.head
    }

    private struct Unreadable: Error {}

    /// With a request that is being answered.
    private func responding(_ text: String = "GET / HTTP/1.1\r\nHost: x\r\n\r\n") throws -> HTTPConnectionState {
        var state = connection()
        state.took(try head(text))
        return state
    }

    private func awaits(
        _ phase: RequestDecoder.Phase, _ state: inout HTTPConnectionState, after time: TimeAmount = .zero
    ) -> Bool {
        state.awaits(phase, now: { start + time })
    }

    private func responded(
        _ state: inout HTTPConnectionState, mayContinue: Bool = true
    ) -> (isHead: Bool, keepsAlive: Bool)? {
        state.responded(mayContinue: mayContinue, idleDeadline: start + .seconds(60))
    }

    // MARK: Time

    @Test(arguments: [true, false]) func `a handshake and the first byte have as long as a head`(isSecure: Bool) {
        let state = connection(isSecure: isSecure)
        #expect(state.overdue(now: start + .seconds(9)) == nil)
        #expect(state.overdue(now: start + .seconds(10)) == .close)
    }

    @Test func `each part of a request has a time of its own, from when it began`() {
        var state = connection()
        #expect(!awaits(.head, &state, after: .seconds(5)))
        #expect(state.overdue(now: start + .seconds(14)) == nil)
        #expect(state.overdue(now: start + .seconds(15)) == .refuse("head"))
        // More of the same part does not start it over.
        #expect(!awaits(.head, &state, after: .seconds(14)))
        #expect(state.overdue(now: start + .seconds(15)) == .refuse("head"))
        #expect(!awaits(.content, &state, after: .seconds(15)))
        #expect(state.overdue(now: start + .seconds(34)) == nil)
        #expect(state.overdue(now: start + .seconds(35)) == .refuse("content"))
    }

    @Test func `a request that is being answered has no time limit here`() throws {
        var state = try responding()
        #expect(state.overdue(now: start + .hours(1)) == nil)
        #expect(responded(&state)?.keepsAlive == true)
        #expect(state.overdue(now: start + .seconds(59)) == nil)
        #expect(state.overdue(now: start + .seconds(60)) == .close)
    }

    @Test func `responses that are not read end the connection, whatever it is doing`() throws {
        for var state in [connection(), try responding()] {
            state.writabilityChanged(isWritable: false, now: start)
            state.writabilityChanged(isWritable: false, now: start + .seconds(4))
            #expect(state.overdue(now: start + .seconds(4)) == nil)
            #expect(state.overdue(now: start + .seconds(5)) == .close, "from when they began to wait")
            state.writabilityChanged(isWritable: true, now: start + .seconds(5))
            #expect(state.overdue(now: start + .seconds(5)) == nil)
        }
    }

    @Test func `the client does not pay for the time in which it was not read from`() {
        var state = connection()
        #expect(!awaits(.head, &state))
        state.writabilityChanged(isWritable: false, now: start)
        state.writabilityChanged(isWritable: true, now: start + .seconds(4))
        #expect(state.overdue(now: start + .seconds(13)) == nil)
        #expect(state.overdue(now: start + .seconds(14)) == .refuse("head"))
    }

    // MARK: Requests and responses

    @Test func `one request is taken at a time, and none while responses are not read`() throws {
        var state = connection(isSecure: true)
        #expect(!state.takesRequests)
        let isNews = state.handshakeCompleted(now: start)
        let isNewsAgain = state.handshakeCompleted(now: start)
        #expect(isNews && !isNewsAgain && state.takesRequests)
        state.writabilityChanged(isWritable: false, now: start)
        #expect(!state.takesRequests)
        state.writabilityChanged(isWritable: true, now: start)
        state.took(try head())
        #expect(!state.takesRequests && !state.isReading)
        #expect(responded(&state) != nil)
        #expect(state.takesRequests)
        #expect(responded(&state) == nil, "nobody waits for another response")
    }

    @Test func `a response says what its request asked for`() throws {
        var head = try responding("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(responded(&head)?.isHead == true)
        var old = try responding("GET / HTTP/1.0\r\n\r\n")
        #expect(responded(&old)?.keepsAlive == false)
        #expect(old.isClosing)
        var closing = try responding("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(responded(&closing)?.keepsAlive == false)
    }

    @Test func `a gateway that takes no more requests says so with the response`() throws {
        var state = try responding()
        #expect(responded(&state, mayContinue: false)?.keepsAlive == false)
        #expect(state.isClosing && state.overdue(now: start + .hours(1)) == nil)
    }

    @Test func `a client that has closed its side gets the response it waits for, and no more`() throws {
        var waiting = try responding()
        let endsNow = waiting.inputClosed()
        #expect(!endsNow)
        #expect(responded(&waiting)?.keepsAlive == false)
        for isSecure in [true, false] {
            var state = connection(isSecure: isSecure)
            let endsNow = state.inputClosed()
            #expect(endsNow && awaits(.head, &state))
        }
    }

    // MARK: Reading

    @Test func `reading is held back while a client sends ahead, and asked for again`() throws {
        var state = try responding()
        #expect(reads(&state, buffered: 64 * 1024 - 1))
        #expect(!reads(&state, buffered: 64 * 1024) && state.hasPendingRead)
        #expect(responded(&state) != nil)
        #expect(reads(&state, buffered: 64 * 1024) && !state.hasPendingRead)
        state.writabilityChanged(isWritable: false, now: start)
        #expect(!reads(&state, buffered: 0))
    }

    private func reads(_ state: inout HTTPConnectionState, buffered: Int) -> Bool { state.reads(buffered: buffered) }

    // MARK: The end

    @Test func `draining and certificates end what is at rest`() throws {
        var handshaking = connection(isSecure: true)
        #expect(handshaking.endsWhenDraining && !handshaking.endsWithCertificate)
        _ = handshaking.handshakeCompleted(now: start)
        #expect(handshaking.endsWhenDraining && handshaking.endsWithCertificate)
        #expect(!awaits(.content, &handshaking))
        #expect(!handshaking.endsWhenDraining && !handshaking.endsWithCertificate)
        let responding = try responding()
        #expect(!responding.endsWhenDraining && !responding.endsWithCertificate)
    }
}
