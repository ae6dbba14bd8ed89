import GatewayCore
import Logging
import NIOCore
import Synchronization

/// Logs connections that are not taken, and operators' keys that are wrong: of each kind at most one line every 10 s.
final class ListenerLog: Sendable {
    private enum Kind: Hashable {
        case exhausted
        case proxy(ProxyRefusal)
        case revoked
        case `operator`
    }

    private let logger: Logger
    private let pace = Mutex(LogPace<Kind>())

    init(_ logger: Logger) {
        self.logger = logger
    }

    /// For lack of descriptors or memory.
    func failedToAccept(_ error: any Error) {
        guard isDue(.exhausted) else { return }
        logger.error(
            "cannot accept connections; raise the open-file limit", metadata: ["error": "\(error)"])
    }

    /// - Parameters:
    ///   - address: of the other end.
    ///   - listener: the listener's own.
    func refused(_ refusal: ProxyRefusal, _ address: SocketAddress?, at listener: String) {
        guard isDue(.proxy(refusal)) else { return }
        let reason =
            switch refusal {
            case .untrusted: "it does not come from one of `trustedProxies`"
            case .malformed: "it does not begin with a valid header of the PROXY protocol"
            }
        logger.warning(
            "connection closed: \(reason)",
            metadata: [
                "gateway.listener": "\(listener)", "network.peer.address": "\(Peer(address: address).addressText)",
            ])
    }

    func revoked(_ peer: Peer, at listener: String) {
        guard isDue(.revoked) else { return }
        logger.warning(
            "connection closed: the client's certificate is revoked",
            metadata: ["gateway.listener": "\(listener)", "network.peer.address": "\(peer.addressText)"])
    }

    /// - Parameter address: of the other end.
    func refusedOperator(from address: String) {
        guard isDue(.operator) else { return }
        logger.warning(
            "admin listener: the key that was shown is no operator's", metadata: ["network.peer.address": "\(address)"])
    }

    private func isDue(_ kind: Kind) -> Bool {
        let now = NIODeadline.now()
        return pace.withLock { $0.isDue(kind, now: now) }
    }
}
