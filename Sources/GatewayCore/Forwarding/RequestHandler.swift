/// Receives the response to one request. Called exactly once per request, on the handler's event loop.
package protocol ResponseRecipient: AnyObject {
    func answered(_ answer: Response)
}

/// Handles the requests of a listener on one event loop.
package protocol RequestHandler: AnyObject {
    /// Handles one request until it is answered, even if the recipient's connection closes meanwhile.
    func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient)

    /// Why a request is refused before its content arrives; nil if its head alone is no reason to refuse it.
    func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal?

    /// Counts a request that was refused before it could be handled.
    func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer)
}
