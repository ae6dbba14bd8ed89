/// How to handle a message whose region the request does not state.
package enum RegionDiscovery: String, CaseIterable, Sendable {
    /// It is sent to the learned region, else to the skill's default; without either, it is refused.
    case off
    /// If the first region does not know the user, the others are tried.
    case probe
}
