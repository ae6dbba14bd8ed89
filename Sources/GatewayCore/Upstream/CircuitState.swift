/// Whether messages may be sent to a region.
///
/// The raw value is that of `skillgate_circuit_state`.
package enum CircuitState: Int, Sendable {
    /// Messages are sent. Can transition to: open.
    case closed = 0
    /// A probe is under way; or one was answered, and so was one before, and no message after that: nothing is sent for
    /// another while. Can transition to: closed, open.
    case halfOpen = 1
    /// Nothing is sent, and nothing tried. Can transition to: halfOpen.
    case open = 2

    /// For people.
    package var text: String { self == .halfOpen ? "half-open" : "\(self)" }
}
