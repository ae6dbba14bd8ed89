extension Forwarding {
    /// What is known of the message once it has been looked at. An object, so that a step that needs a part of it does
    /// not retain all the others.
    final class Message {
        let caller: Caller
        let skill: Skill
        let user: UserID
        let key: IdempotencyKey?
        let consent: Bool
        let certainty: Certainty
        /// Where it goes first, and, where that is a guess, what to try in turn after it.
        private let first: Region
        private let others: [Region]
        /// Of the others.
        private var tried = 0
        private var refusalsNotFound = 0

        /// How it is known where the user lives.
        enum Certainty {
            /// The request says so.
            case stated
            /// From earlier messages, or from what somebody said.
            case learned
            /// It is the skill's default, or the first region there is.
            case guessed
        }

        init(
            caller: Caller, skill: Skill, user: UserID, region: Region, _ certainty: Certainty,
            otherwise others: [Region], key: IdempotencyKey?, consent: Bool
        ) {
            self.certainty = certainty
            self.caller = caller
            self.skill = skill
            self.user = user
            first = region
            self.others = others
            self.key = key
            self.consent = consent
        }

        /// Where it goes now.
        var region: Region { tried == 0 ? first : others[tried - 1] }
        var canGoElsewhere: Bool { tried < others.count }
        var wasTriedElsewhere: Bool { tried > 0 }
        /// All three said 404.
        var isUnknownEverywhere: Bool { refusalsNotFound == Region.allCases.count }

        func wasRefused(as status: Int) {
            if status == 404 { refusalsNotFound += 1 }
        }

        func goElsewhere() {
            if canGoElsewhere { tried += 1 }
        }

        /// The refusals so far were the token's fault, and there is another one now.
        func startOver() {
            (tried, refusalsNotFound) = (0, 0)
        }
    }
}
