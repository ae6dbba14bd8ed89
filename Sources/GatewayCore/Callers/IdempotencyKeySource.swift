/// Where the idempotency key of a message comes from.
package enum IdempotencyKeySource: Hashable, Sendable {
    /// `Idempotency-Key`.
    case field
    /// The string of this member of `data`.
    case data(member: String)
    /// The message itself: an equal one to the same user is a duplicate for a while.
    case content

    /// For metrics and logs.
    package enum Label: String, CaseIterable, Sendable {
        case field, data, content
        /// By the gateway, for a message that has none and is to be reported by its skill.
        case made

        /// Among all cases.
        var place: Int {
            switch self {
            case .field: 0
            case .data: 1
            case .content: 2
            case .made: 3
            }
        }
    }

    package var label: Label {
        switch self {
        case .field: .field
        case .data: .data
        case .content: .content
        }
    }
}

/// Where a caller's keys come from, the first source that has one first.
package struct IdempotencyKeySources: Equatable, Sendable {
    package let list: [IdempotencyKeySource]
    /// For how long an equal message is a duplicate, where keys come from the content.
    package let contentWindow: Duration
    /// The usual: nothing else is looked at.
    let isFieldAlone: Bool
    let hasField: Bool

    package init(_ list: [IdempotencyKeySource] = [.field], contentWindow: Duration = .seconds(300)) {
        self.list = list
        self.contentWindow = contentWindow
        isFieldAlone = list == [.field]
        hasField = list.contains(.field)
    }
}
