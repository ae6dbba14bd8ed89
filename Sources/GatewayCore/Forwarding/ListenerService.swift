/// What a listener serves.
package enum ListenerService: String, CaseIterable, Sendable {
    /// Callers: messages, and all that belongs to them.
    case messages
    /// Skills, which report the messages that they have received.
    case receipts
}

/// Serves some of what the gateway does, on one event loop. For everything else it is as if there was no such path.
package final class PartialHandler: RequestHandler {
    private let handler: any RequestHandler
    private let services: Set<ListenerService>

    /// - Returns: `handler` itself where it serves everything.
    package static func serving(
        _ services: Set<ListenerService>, of handler: any RequestHandler
    ) -> any RequestHandler {
        services == Set(ListenerService.allCases) ? handler : PartialHandler(handler, services)
    }

    private init(_ handler: any RequestHandler, _ services: Set<ListenerService>) {
        self.handler = handler
        self.services = services
    }

    package func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient) {
        guard let refusal = refusal(of: request) else { return handler.handle(request, from: peer, to: recipient) }
        handler.refused(refusal.problem, request.id, from: peer)
        recipient.answered(Response(.refusal(refusal), region: nil))
    }

    package func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal? {
        guard let refusal = refusal(of: request) else { return handler.refusal(beforeContentOf: request, from: peer) }
        handler.refused(refusal.problem, request.id, from: peer)
        return refusal
    }

    package func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) {
        handler.refused(problem, id, from: peer)
    }

    private func refusal(of request: InboundRequest) -> Refusal? {
        let service: ListenerService = ReceiptReport.isMeant(by: request) ? .receipts : .messages
        guard !services.contains(service) else { return nil }
        let names = services.map(\.rawValue).sorted().joined(separator: ", ")
        return Refusal(.notFound, "no such path here; this listener serves only: \(names)")
    }
}
