package import GatewayCore
import NIOCore
import Synchronization

/// Who may see what on an admin listener, and who may change something there.
package final class AdminAccess: Sendable {
    /// What anybody gets who can reach the listener.
    package enum OpenTo: String, CaseIterable, Sendable {
        /// Everything that can be seen.
        case everything
        /// The metrics and the probes.
        case metrics
    }

    package struct Operator: Equatable, Sendable {
        package var name: String
        package var keys: [APIKeyDigest]

        package init(name: String, keys: [APIKeyDigest]) {
            self.name = name
            self.keys = keys
        }
    }

    /// Whom a request comes from.
    enum Sender: Equatable {
        case `operator`(String)
        case anybody
        /// The credentials are nobody's.
        case stranger
    }

    /// Nil: nobody gets anything.
    let openTo: OpenTo?
    private let operators: Mutex<[Operator]>
    private let onRefused: @Sendable (String) -> Void
    private let failedAttempts = NetworkThrottle.ofFailedAttempts()

    /// - Parameters:
    ///   - openTo: nil: anybody gets nothing.
    ///   - onRefused: called for each request whose key is nobody's, with the address that it comes from.
    package init(
        openTo: OpenTo?, operators: [Operator] = [],
        onRefused: @escaping @Sendable (_ address: String) -> Void = { _ in }
    ) {
        self.openTo = openTo
        self.onRefused = onRefused
        self.operators = Mutex(operators)
    }

    /// For requests from now on.
    package func use(_ operators: [Operator]) { self.operators.withLock { $0 = operators } }

    var hasOperators: Bool { operators.withLock { !$0.isEmpty } }

    /// The key as `Authorization: Bearer KEY` or, as browsers send it, `Basic` with the operator's name.
    func sender(of request: InboundRequest) -> Sender {
        guard request.head.authorization != nil else { return .anybody }
        guard request.head.repeatedField == nil, let (name, key) = Self.credentials(of: request) else {
            return .stranger
        }
        let digest = APIKeyDigest(of: key)
        let known = operators.withLock { operators in
            operators.first { ($0.name == name || name == nil) && $0.keys.contains(digest) }
        }
        return known.map { .operator($0.name) } ?? .stranger
    }

    private static func credentials(of request: InboundRequest) -> (name: String?, key: String)? {
        if let key = request.bearerToken { return (nil, key) }
        return request.basicCredentials.map { (String($0.userID), String($0.password)) }
    }

    /// Somebody has shown no credentials, or wrong ones.
    func refusal(of sender: Sender, from peer: Peer, now: NIODeadline) -> Refusal {
        guard hasOperators else {
            return Refusal(.notAllowed, "this listener is open to scrapers and probes alone (`admin.openTo: metrics`)")
        }
        if sender == .stranger { onRefused(peer.addressText) }
        guard sender == .stranger, let seconds = failedAttempts.retryAfter(of: peer.place, now: now) else {
            return Refusal(
                .notAuthenticated,
                "expected the key of an operator: `Authorization: Bearer KEY`, or Basic with the operator's name")
        }
        return .tooManyFailedAttempts(retryAfterSeconds: seconds)
    }
}
