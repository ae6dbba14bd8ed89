/// What a state machine wants done, in its order, until whoever runs it takes it.
///
/// Each action is moved in and out: by a copy, all that it refers to would be counted up and down again.
package struct ActionQueue<Action> {
    private var actions: [Action?] = []
    private var taken = 0

    mutating func append(_ action: consuming Action) { actions.append(action) }

    package mutating func popFirst() -> Action? {
        guard taken < actions.count else { return nil }
        let action = actions[taken].take()
        taken += 1
        if taken == actions.count {
            actions.removeAll(keepingCapacity: true)
            taken = 0
        }
        return action
    }
}
