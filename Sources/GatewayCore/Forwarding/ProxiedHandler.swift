/// Handles the requests of a listener whose connections come from proxies that say in `X-Forwarded-For` whom they speak for.
package final class ProxiedHandler: RequestHandler {
    private let handler: any RequestHandler
    private let proxies: TrustedProxies

    package init(_ handler: any RequestHandler, behind proxies: TrustedProxies) {
        self.handler = handler
        self.proxies = proxies
    }

    package func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient) {
        handler.handle(request, from: client(of: request, from: peer), to: recipient)
    }

    package func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal? {
        handler.refusal(beforeContentOf: request, from: client(of: request, from: peer))
    }

    package func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) {
        handler.refused(problem, id, from: peer)
    }

    private func client(of request: InboundRequest, from peer: Peer) -> Peer {
        guard request.head.hasForwardedFor, proxies.contains(peer.address),
            let address = proxies.client(of: request)
        else { return peer }
        return peer.client(at: address)
    }
}
