import GatewayCore
import Glibc
import NIOCore

/// The connections of one listener on one event loop: their time limits, and draining.
final class ListenerLoop {
    /// Time limits are looked at this often; so much later than promised a connection may be closed.
    private static let sweepInterval = TimeAmount.milliseconds(250)
    /// How long a client whose answer said `close` may take to read it.
    private static let lingerTimeout = TimeAmount.seconds(2)

    let eventLoop: any EventLoop
    let handler: any RequestHandler
    let encoder: ResponseEncoder
    let limits: RequestDecoder.Limits
    /// Nil: not spoken.
    let http2: HTTP2ServerState.Limits?
    let timeouts: HTTPConnectionState.Timeouts
    /// Connections with answers to be sent at the end of the turn.
    let flushes: EndOfTickQueue<HTTPConnection>
    private(set) var isDraining = false
    /// When a connection that becomes idle now has been so for too long: as of the last sweep, since for every answer
    /// the time would be asked for otherwise, and up to an interval late.
    private(set) var idleDeadline: NIODeadline
    /// The `Date` field of answers, as of the last sweep.
    private(set) var dateLine = ByteBuffer()
    /// Of HTTP/2, since the start.
    var statistics = ListenerStatistics()
    private var connections: [ObjectIdentifier: any ClientConnection] = [:]
    private var dateSecond = 0
    private var sweep: RepeatedTask?
    private let gate: ConnectionGate
    private let tls: ListenerTLS?
    private var whenEmpty: EventLoopPromise<Void>?

    init(
        eventLoop: any EventLoop, handler: any RequestHandler, encoder: ResponseEncoder,
        configuration: ListenerConfiguration, tls: ListenerTLS?, gate: ConnectionGate
    ) {
        self.eventLoop = eventLoop
        self.handler = handler
        self.tls = tls
        self.encoder = encoder
        limits = configuration.limits
        http2 = configuration.http2Limits
        timeouts = HTTPConnectionState.Timeouts(
            head: TimeAmount(configuration.headTimeout), content: TimeAmount(configuration.contentTimeout),
            idle: TimeAmount(configuration.idleTimeout), write: TimeAmount(configuration.writeTimeout))
        self.gate = gate
        idleDeadline = eventLoop.now + timeouts.idle
        flushes = EndOfTickQueue(on: eventLoop) { $0.flush() }
    }

    /// False if there is no room for one more from its address: it is to be closed, and does not count.
    func opened(_ connection: any ClientConnection) -> Bool {
        guard gate.opened(from: connection.peer.place) else { return false }
        connections[ObjectIdentifier(connection)] = connection
        if sweep == nil { startSweep() }
        return true
    }

    /// The same connection is handled by another from here on.
    func replace(_ connection: any ClientConnection, with other: any ClientConnection) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        connections[ObjectIdentifier(other)] = other
    }

    func closed(_ connection: any ClientConnection) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        gate.closed(from: connection.peer.place)
        if connections.isEmpty {
            sweep?.cancel()
            sweep = nil
            whenEmpty?.succeed()
            whenEmpty = nil
        }
    }

    /// Counts the changes of the authorities that clients' certificates are verified with.
    var authorities: Int { tls?.authorities ?? 0 }

    /// The client has been told that the connection ends; it is closed when it has read that, or after a while.
    ///
    /// One that is not writable is left to its write timeout.
    func lingers(_ channel: any Channel) {
        eventLoop.assumeIsolated().scheduleTask(in: Self.lingerTimeout) {
            // A channel that was closed while it was not writable stays so.
            guard channel.isActive else { return }
            if channel.isWritable { channel.close(promise: nil) } else { self.lingers(channel) }
        }
    }

    /// From here on every connection ends with an answer, or between two.
    func startDraining() {
        isDraining = true
        for connection in Array(connections.values) { connection.startDraining() }
    }

    /// What there is now, and what has been since the start.
    func currentStatistics() -> ListenerStatistics {
        var statistics = statistics
        for connection in connections.values {
            statistics.connections[connection.peer.version, default: 0] += 1
            statistics.streams += (connection as? HTTP2Connection)?.openStreams ?? 0
        }
        return statistics
    }

    /// Ends what is idle, and what is not as soon as it is answered; `HTTP2Connection` says when that is.
    func drain() {
        for connection in Array(connections.values) { connection.drain() }
    }

    /// Completes when the last connection is gone.
    func whenAllAreGone() -> EventLoopFuture<Void> {
        guard !connections.isEmpty else { return eventLoop.makeSucceededVoidFuture() }
        let promise = whenEmpty ?? eventLoop.makePromise()
        whenEmpty = promise
        return promise.futureResult
    }

    /// Closes every connection, answered or not.
    func abort() {
        for connection in Array(connections.values) { connection.close() }
    }

    private func startSweep() {
        swept(eventLoop.now)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleRepeatedTask(initialDelay: Self.sweepInterval, delay: Self.sweepInterval) { _ in
            bound.value.closeOverdue()
        }
    }

    private func swept(_ now: NIODeadline) {
        idleDeadline = now + Self.sweepInterval + timeouts.idle
        let second = time(nil)
        guard second != dateSecond else { return }
        dateSecond = second
        dateLine = HTTPDate.fieldLine(unixTime: second)
    }

    private func closeOverdue() {
        let now = eventLoop.now
        swept(now)
        for connection in Array(connections.values) { connection.checkDeadlines(now: now) }
    }
}
