/// Gets the answer to one request. Called once for each, on the event loop of the handler.
package protocol ResponseRecipient: AnyObject {
    func answered(_ answer: Response)
}

/// What stands behind a listener on one event loop.
package protocol RequestHandler: AnyObject {
    /// Takes one request to its answer. The way goes on whatever becomes of the recipient.
    func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient)

    /// What is wrong with a request whose content has not come, where its head alone shows that.
    func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal?

    /// Counts a request that was refused before it could be handled.
    func refused(_ problem: Problem, from peer: Peer)
}
