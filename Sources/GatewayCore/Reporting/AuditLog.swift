import NIOCore

/// The audit log of one event loop: a line for each decision who may do what, with how the caller showed who it is and
/// where the request came from; of those that were refused, as `RefusalTally` has it.
package final class AuditLog {
    /// What was asked for.
    package enum Action: String, CaseIterable, Sendable {
        case message
        /// What would become of a message.
        case validation
        /// What became of an idempotency key.
        case inquiry
        /// That a message was accepted, by the caller's word.
        case settlement
        /// A skill's report of messages.
        case receipt
        /// An access token of the gateway.
        case accessToken = "access-token"
        /// Where a user lives.
        case userRegion = "user-region"
    }

    let lines: LogLines

    package init(_ lines: LogLines) {
        self.lines = lines
        lines.writeTally = { [weak self] in self?.write($0) }
    }

    /// - Parameters:
    ///   - method: nil where nobody was recognised.
    ///   - problem: why it was refused; nil where it was allowed.
    ///   - record: the one that the request is about.
    func decided(
        _ action: Action, _ labels: ForwardingInstruments.Labels, by method: CallerDirectory.Method?, from peer: Peer,
        problem: Problem?, record: IdempotencyScope? = nil
    ) {
        if let problem {
            let kind = RefusalTally.Kind(action: action, place: peer.place, caller: labels.caller, problem: problem)
            guard lines.hasLineOfItsOwn(kind, address: peer.addressText) else { return }
        }
        lines.append { text, names in
            text.writeStaticString(",\"action\":")
            JSONText.writeString(action.rawValue, to: &text)
            text.writeStaticString(problem == nil ? ",\"decision\":\"allowed\"" : ",\"decision\":\"refused\"")
            names.write(labels, to: &text)
            text.writeStaticString(",\"authentication\":")
            if let method {
                JSONText.writeString(method.rawValue, to: &text)
            } else {
                text.writeStaticString("null")
            }
            text.writeStaticString(",\"address\":")
            JSONText.writeString(peer.addressText, to: &text)
            if let record { text.writeString(",\"record\":\"\(record.hexadecimal)\"") }
            problem?.writeMember(to: &text)
        }
    }

    /// - Parameters:
    ///   - verb: what an operator did.
    ///   - subject: to what; nil: to the whole process.
    ///   - name: the operator's; nil: whoever can open the socket.
    package func operated(_ verb: String, on subject: String?, by name: String?, at address: String) {
        lines.append { text, _ in
            text.writeStaticString(",\"action\":")
            JSONText.writeString(verb, to: &text)
            text.writeStaticString(",\"decision\":\"allowed\",\"subject\":")
            if let subject {
                JSONText.writeString(subject, to: &text)
            } else {
                text.writeStaticString("null")
            }
            if let name {
                text.writeStaticString(",\"authentication\":\"operator-key\",\"operator\":")
                JSONText.writeString(name, to: &text)
                text.writeStaticString(",\"address\":")
                JSONText.writeString(address, to: &text)
            } else {
                text.writeStaticString(",\"authentication\":\"admin-socket\",\"address\":\"local\"")
            }
        }
        lines.flush()
    }

    /// Hands on what has been gathered.
    package func close() { lines.close() }

    private func write(_ entry: RefusalTally.Entry) {
        lines.append { text, names in
            text.writeStaticString(",\"action\":")
            JSONText.writeString(entry.kind.action?.rawValue ?? "", to: &text)
            text.writeStaticString(",\"decision\":\"refused\"")
            var labels = ForwardingInstruments.Labels()
            labels.caller = entry.kind.caller
            names.write(labels, to: &text)
            entry.kind.problem.writeMember(to: &text)
            entry.writeMembers(to: &text)
        }
    }
}
