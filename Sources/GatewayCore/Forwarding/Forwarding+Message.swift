extension Forwarding {
    /// What is known of the message once it has been looked at. An object, so that a step that needs a part of it does
    /// not retain all the others.
    final class Message {
        let caller: Caller
        let skill: Skill
        let user: UserID
        let region: Region
        let key: IdempotencyKey?
        let consent: Bool

        init(caller: Caller, skill: Skill, user: UserID, region: Region, key: IdempotencyKey?, consent: Bool) {
            self.caller = caller
            self.skill = skill
            self.user = user
            self.region = region
            self.key = key
            self.consent = consent
        }
    }
}
