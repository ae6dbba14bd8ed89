import NIOCore

/// A skill's reports of messages, from the id that a message takes along to the sender that is told of its receipt.
extension Forwarding {
    /// Most answers come sooner, so that nothing is asked for their messages.
    private static let patience = TimeAmount.milliseconds(500)

    /// Writes the request to the region, with the id of the message's receipt, if its skill reports messages. The same with each send.
    func writeRequest(with token: AccessToken) {
        let original = exchange.request.content
        guard let receipt = message.receipt, let claim,
            exchange.configuration.receipts.makes(idsOf: message.skill.index)
        else { return writeRequest(with: token, original) }
        var binding = Receipt.Binding.message(claim.fingerprint.firstBits)
        if message.isKeyedByContent {
            // An equal message that comes when the window is over has a record that lives for at least another window. Counted from before
            // the claim.
            let began = forwarder.timestamp() + (.zero - Duration(from: exchange.started, to: eventLoop.now))
            let window = Int(message.caller.keySources.contentWindow.components.seconds)
            binding = .latestExpiry(began.seconds + 2 * window - 1)
        }
        let subject = ReceiptIDs.Subject(scope: claim.scope, skill: message.skill.index, binding: binding)
        receipt.write(original, to: &forwarder.contentBuffer) {
            exchange.configuration.receipts.write(subject, to: &$0)
        }
        writeRequest(with: token, forwarder.contentBuffer)
    }

    private func writeRequest(with token: AccessToken, _ content: ByteBuffer) {
        forwarder.requests[region].serialize(
            user: message.user, token: token, content: content, into: &forwarder.requestBuffer)
    }

    /// Its skill should report the message by the time that Amazon no longer tries to deliver it.
    func watchDelivery() {
        guard let receipt = message.receipt, let claim else { return }
        forwarder.deliveries.accepted(claim.scope, skill: message.skill.label, expiry: receipt.expiry)
    }

    /// The skill may have received the message though Amazon's answer does not come.
    func upstreamStillAwaited(now: NIODeadline) {
        guard awaited != nil, !awaitsReceipt, now - waitingSince >= Self.patience, let claim else { return }
        awaitsReceipt = true
        resume(
            when(forwarder.store.resultOfAttemptInFlight(claim, on: eventLoop), claim) { forwarding, result, claim in
                guard result == nil else { return forwarding.received(result) }
                // It was there before, or only the record says it.
                return forwarding.when(
                    forwarding.forwarder.store.report(on: claim.scope, on: forwarding.eventLoop), claim
                ) { forwarding, report, claim in
                    guard let report, report.fingerprint == claim.fingerprint, case .accepted(let answer) = report.state
                    else { return nil }
                    return forwarding.received(AttemptResult(answer))
                }
            })
    }

    /// - Returns: nil if Amazon's answer has come meanwhile, or is waited for.
    private func received(_ result: AttemptResult?) -> ForwardingState.Step? {
        guard let awaited, let result, result.witness == .receipt else { return nil }
        self.awaited = nil
        usage = exchange.keepPlace()
        awaited.stopAwaiting()
        return state.received(result)
    }
}
