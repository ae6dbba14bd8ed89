extension Forwarding {
    /// What is known of the message once it has been looked at. An object, so that a step that needs a part of it does
    /// not retain all the others.
    final class Message {
        let caller: Caller
        let skill: Skill
        let user: UserID
        /// Where it goes; another one once that has refused it, if it may be tried elsewhere.
        var region: Region
        let key: IdempotencyKey?
        let consent: Bool
        /// Where it goes first, and, where that is a guess, what to try in turn after it.
        private let regions: (first: Region, others: [Region])
        /// Regions that have not been tried.
        private var regionsLeft: [Region]
        private var refusals = 0
        private var refusalsNotFound = 0

        init(
            caller: Caller, skill: Skill, user: UserID, region: Region, otherwise others: [Region],
            key: IdempotencyKey?, consent: Bool
        ) {
            self.caller = caller
            self.skill = skill
            self.user = user
            self.region = region
            regions = (region, others)
            regionsLeft = others
            self.key = key
            self.consent = consent
        }

        var nextRegion: Region? { regionsLeft.first }
        var wasTriedElsewhere: Bool { refusals > 0 }
        /// All three said 404.
        var isUnknownEverywhere: Bool { refusalsNotFound == Region.allCases.count }

        /// The refusals so far were the token's fault, and there is another one now.
        func startOver() {
            region = regions.first
            regionsLeft = regions.others
            (refusals, refusalsNotFound) = (0, 0)
        }

        func wasRefusedAs(_ status: Int) {
            refusals += 1
            if status == 404 { refusalsNotFound += 1 }
            if !regionsLeft.isEmpty { regionsLeft.removeFirst() }
        }
    }
}
