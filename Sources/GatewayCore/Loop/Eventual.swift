package import NIOCore

/// A value that mostly is there at once, and sometimes comes later on the caller's event loop.
///
/// The data plane asks this way so that a message that has to wait for nothing pays for no future.
package enum Eventual<Value: Sendable>: Sendable {
    case now(Value)
    case later(EventLoopFuture<Value>)
}
