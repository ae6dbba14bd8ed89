import GatewayCore

extension GatewayConfiguration {
    static var receiptsOption: ConfigurationOption<Self> {
        .optionalSection(
            "receipts", \.receipts, new: Receipts(), reloads: true,
            [
                .secrets(
                    "signingKeys", \.signingSecrets, type: "secrets, 32 bytes or more each",
                    "for the ids by which skills report messages; the first signs, all verify. Must be the same on all replicas",
                    isRequired: true, example: "[{file: secrets/receipts}]", read: readSigningKey)
            ])
    }

    static var skillsOption: ConfigurationOption<Self> {
        .list(
            "skills", \.skills, new: SkillConfiguration(), missing: "a list of at least one skill", reloads: true,
            [
                .required("name", \.name, .name, "for `Gateway-Skill` and metrics", example: "weather"),
                .optional(
                    "id", \.id, .name,
                    "identifies the skill in idempotency records: keep it when the name changes",
                    otherwise: "the `name`", example: "weather"),
                .required(
                    "clientID", \.credentials.clientID,
                    .text("the client id of the skill's messaging credentials"),
                    "of the skill's messaging credentials",
                    example: "amzn1.application-oa2-client.00000000000000000000000000000000"),
                .requiredSecret(
                    "clientSecret", \.credentials.clientSecret, "`{file: PATH}` or `{env: NAME}`",
                    example: "secrets/weather.example"),
                .secret(
                    "nextClientSecret", \.credentials.nextClientSecret,
                    "tried at once when the first is refused: for rotation", example: "secrets/weather.next"),
                .optional(
                    "defaultRegion", \.defaultRegion, .region, "for messages that do not state a region", example: "NA"),
                .optional(
                    "discovery", \.discovery, .choice, "for messages of this skill, as `discovery`",
                    otherwise: "`discovery`", example: "probe"),
                .section(
                    "receipts",
                    [
                        .optional(
                            "member", \.receiptMember, .name,
                            "the gateway adds this member to `data` of each message: an id by which the skill reports that it has received it, at `POST /v1/receipts`",
                            otherwise: "the skill reports nothing", example: "receipt")
                    ]),
            ], check: check(_:_:_:))
    }

    private static func check(_ section: ConfigurationSection, _ skill: inout SkillConfiguration, _ others: Self) {
        guard !skill.name.isEmpty else { return }
        if skill.name == "none" {
            section.report("the name `none` is reserved in metrics; expected another", at: "name")
        }
        if others.skills.contains(where: { $0.name == skill.name }) {
            section.report("there are two skills named `\(skill.name)`", at: "name")
        }
        section.reportSharedID(skill.recordID, others.skills.map(\.recordID))
        if skill.receiptMember != nil && others.receipts == nil {
            section.report("`receipts.member` requires `receipts.signingKeys`", at: "receipts")
        }
    }
}

extension ConfigurationSection {
    /// Two of one id would share their idempotency records.
    func reportSharedID(_ id: String, _ others: [String]) {
        guard others.contains(id), has("id") || has("name") else { return }
        report(
            "the id `\(id)` is taken by the `id` or `name` of another; both would share idempotency records",
            at: has("id") ? "id" : "name")
    }
}
