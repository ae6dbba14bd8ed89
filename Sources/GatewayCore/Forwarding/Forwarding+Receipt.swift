import NIOCore

/// A skill's reports of messages, from the id that a message takes along to the sender that is told of its receipt.
extension Forwarding {
    /// Most answers come sooner, so that nothing is asked for their messages.
    private static let patience = TimeAmount.milliseconds(500)

    /// The content as the region gets it: with the id of the message's receipt, if its skill reports messages. The same with each send.
    func contentToSend() -> ByteBuffer {
        let original = exchange.request.content
        guard let receipt = message.receipt, let claim,
            exchange.configuration.receipts.makes(idsOf: message.skill.index)
        else { return original }
        let subject = ReceiptIDs.Subject(scope: claim.scope, skill: message.skill.index, binding: receiptBinding(claim))
        receipt.write(original, to: &forwarder.contentBuffer) {
            exchange.configuration.receipts.write(subject, to: &$0)
        }
        return forwarder.contentBuffer
    }

    private func receiptBinding(_ claim: IdempotencyClaim) -> Receipt.Binding {
        guard message.isKeyedByContent else { return .message(claim.fingerprint.messageBits) }
        let began = forwarder.timestamp() + (.zero - Duration(from: exchange.started, to: eventLoop.now))
        // The window begins again with the acceptance, and then lasts so long; that of an equal message that comes when it is over lives for
        // a window longer. In the middle between them, there is room to both sides.
        let window = message.caller.keySources.contentWindow
        let latest = window + (window + Duration(exchange.snapshot.times.deadline)) / 2
        return .latestExpiry(began.seconds + Int(latest.components.seconds))
    }

    /// Its skill should report the message by the time that Amazon no longer tries to deliver it.
    func watchDelivery() {
        guard let receipt = message.receipt, let claim else { return }
        forwarder.deliveries.accepted(
            claim.scope, receiptBinding(claim), skill: message.skill.label, expiry: receipt.expiry,
            reports(.receiptOverdue) ? reference : nil)
    }

    /// The skill may have received the message though Amazon's answer does not come.
    func upstreamStillAwaited(now: NIODeadline) {
        guard awaited != nil, !hasLookedForReceipt, now - waitingSince >= Self.patience, let claim else { return }
        hasLookedForReceipt = true
        resume(
            when(forwarder.store.resultOfAttemptInFlight(claim, on: eventLoop), claim) { forwarding, result, claim in
                if let result { return forwarding.received(result.attested) }
                // It was there before, or only the record says it.
                return forwarding.when(
                    forwarding.forwarder.store.report(on: claim.scope, on: forwarding.eventLoop), claim
                ) { forwarding, report, claim in
                    guard let report, report.fingerprint == claim.fingerprint, case .accepted(let answer) = report.state
                    else { return nil }
                    return forwarding.received(answer)
                }
            })
    }

    /// - Returns: nil if Amazon's answer has come meanwhile, or is waited for.
    private func received(_ answer: AcceptedResponse?) -> ForwardingState.Step? {
        guard let awaited, let answer, answer.witness == .receipt else { return nil }
        self.awaited = nil
        usage = exchange.keepPlace()
        awaited.stopAwaiting(self)
        return state.received(answer)
    }
}
