import GatewayCore
import NIOCore

/// A message that notes what it is told.
final class Message: UpstreamReceiver {
    let owner: Int
    let skill: Int
    var deadline = NIODeadline.distantFuture
    var connection: (any UpstreamConnection)?
    var unavailable: UpstreamUnavailable?
    var answer: UpstreamResponse?
    var failure: UpstreamFailure?
    /// Not nil once there is one, which may be that none came.
    var late: UpstreamResponse??
    var timesStillAwaited = 0

    init(skill: Int = 0, owner: Int = 0) { (self.skill, self.owner) = (skill, owner) }

    func upstreamLeased(_ result: Result<any UpstreamConnection, UpstreamUnavailable>) {
        switch result {
        case .success(let connection): self.connection = connection
        case .failure(let reason): unavailable = reason
        }
    }

    func upstreamResponded(_ answer: UpstreamResponse) { self.answer = answer }
    func upstreamFailed(_ failure: UpstreamFailure) { self.failure = failure }
    func upstreamStillAwaited(now: NIODeadline) { timesStillAwaited += 1 }
    func upstreamEnded(late answer: UpstreamResponse?) { late = .some(answer) }
}
