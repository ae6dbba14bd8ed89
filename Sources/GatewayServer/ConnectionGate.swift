import NIOCore
import Synchronization

/// Counts the open connections of all event loops and says when accepting has to pause.
final class ConnectionGate: Sendable {
    private let open = Atomic<Int>(0)
    private let limit: Int
    /// Called with the count that fell below the limit again.
    private let resume: Mutex<(@Sendable () -> Void)?>

    init(limit: Int) {
        self.limit = limit
        resume = Mutex(nil)
    }

    var isShut: Bool { open.load(ordering: .relaxed) >= limit }

    func opened() {
        open.add(1, ordering: .relaxed)
    }

    func closed() {
        let left = open.subtract(1, ordering: .relaxed).newValue
        guard left == limit - 1 else { return }
        resume.withLock { $0 }?()
    }

    func whenReopened(_ action: @escaping @Sendable () -> Void) {
        resume.withLock { $0 = action }
    }
}

/// Stands in the pipeline of a listening socket and lets it accept only while the gate is open.
///
/// What is not accepted waits in the kernel's backlog instead of taking memory here.
final class AcceptPause: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    private let gate: ConnectionGate
    private var isPaused = false

    init(gate: ConnectionGate) {
        self.gate = gate
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let resume = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        gate.whenReopened {
            eventLoop.execute {
                let (handler, context) = resume.value
                guard handler.isPaused else { return }
                handler.isPaused = false
                context.read()
            }
        }
    }

    func read(context: ChannelHandlerContext) {
        if gate.isShut {
            isPaused = true
        } else {
            context.read()
        }
    }
}
