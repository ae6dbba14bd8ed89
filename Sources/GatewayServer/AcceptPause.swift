import Glibc
import NIOCore

/// Stands in the pipeline of a listening socket and lets it accept only while the gate is open, and while the process has
/// descriptors.
///
/// What is not accepted waits in the kernel's backlog instead of taking memory here.
final class AcceptPause: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    /// Without descriptors, accepting fails at once and again and again.
    private static let pauseWithoutDescriptors = TimeAmount.milliseconds(100)

    private let gate: ConnectionGate
    private let onExhausted: @Sendable (any Error) -> Void
    private var isPaused = false

    /// - Parameter onExhausted: told each time that a connection could not be accepted for want of descriptors or memory.
    init(gate: ConnectionGate, onExhausted: @escaping @Sendable (any Error) -> Void) {
        self.gate = gate
        self.onExhausted = onExhausted
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

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let code = (error as? IOError)?.errnoCode, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) else {
            return context.fireErrorCaught(error)
        }
        onExhausted(error)
        // The socket stays readable: only without interest in it the event loop comes to rest.
        let channel = context.channel
        channel.setOption(.autoRead, value: false).whenComplete { _ in
            channel.eventLoop.scheduleTask(in: Self.pauseWithoutDescriptors) {
                channel.setOption(.autoRead, value: true)
            }
        }
    }
}
