import NIOCore

/// `PUT /v1/users/{userId}/region`: a caller states a user's region, by `{"apiEndpoint": "…"}` or by passing on a complete
/// request that Alexa sent to the skill.
struct UserRegionUpdate {
    let exchange: Exchange

    /// - Parameter userSegment: where the userId stands in the request's head.
    func answer(_ userSegment: Range<Int>) {
        do {
            let statement = try statement(userSegment)
            guard let known = statement.skill.users.askReplicas(of: statement.user, on: exchange.eventLoop) else {
                return learn(statement)
            }
            exchange.waitForSharedStore(known, atMost: exchange.configuration.limits.deadline) { _ in learn(statement) }
        } catch {
            exchange.refuse(error)
        }
    }

    private func learn(_ statement: Statement) {
        let known = statement.skill.users.learn(statement.region, of: statement.user, from: .put)
        exchange.labels.region = known
        exchange.allowed()
        exchange.answer(Response(.userRegion(known), region: nil))
    }

    private struct Statement {
        var skill: Skill
        var user: UserID
        var region: Region
    }

    private func statement(_ userSegment: Range<Int>) throws(Refusal) -> Statement {
        let caller = try exchange.authenticate()
        let skill = try exchange.skill(of: caller)
        let user = try exchange.user(userSegment)
        try exchange.fields.refuseValidationOnly()
        let (endpoint, userID) = try content()
        if let userID, !Self.isSame(userID, user) {
            throw Refusal(.messageInvalid, "`context.System.user.userId` does not match the user in the path")
        }
        let spelling = Array(endpoint.utf8)
        guard let region = exchange.configuration.regions.region(of: spelling.span, 0..<spelling.count) else {
            throw Refusal(.messageInvalid, "`apiEndpoint` is not the endpoint of a configured region")
        }
        if let stated = try exchange.fields.statedRegion(in: exchange.configuration.regions), stated != region {
            throw Refusal(
                .fieldInvalid, "the path or a field says \(stated.name), and `apiEndpoint` is that of \(region.name)")
        }
        try exchange.checkRegion(region, of: caller)
        exchange.labels.region = region
        return Statement(skill: skill, user: user, region: region)
    }

    private static let expected = "expected `apiEndpoint`, or an Alexa request with `context.System.apiEndpoint`"

    /// The endpoint and, if the content is an Alexa request, its userId.
    private func content() throws(Refusal) -> (endpoint: String, userID: String?) {
        let content = exchange.request.content
        let bytes = content.readableBytesUInt8Span
        do {
            if let endpoint = try Self.string(["apiEndpoint"], in: bytes) { return (endpoint, nil) }
            if let endpoint = try Self.string(["context", "System", "apiEndpoint"], in: bytes) {
                return (endpoint, try Self.string(["context", "System", "user", "userId"], in: bytes))
            }
        } catch .notAnObject {
            throw Refusal(.messageInvalid, "the content is not a JSON object; \(Self.expected)")
        } catch {
            throw Refusal(error)
        }
        throw Refusal(.messageInvalid, Self.expected)
    }

    /// The string at a path of members; nil where there is none.
    private static func string(_ path: [String], in bytes: Span<UInt8>) throws(MessageError) -> String? {
        guard let value = try JSONMembers.value(at: path, in: bytes) else { return nil }
        return try JSONMembers.string(bytes, value)
    }

    private static func isSame(_ text: String, _ user: UserID) -> Bool {
        var canonical = ByteBuffer()
        let bytes = Array(text.utf8)
        PercentEncoding.encode(bytes.span, 0..<bytes.count, to: &canonical)
        return canonical == user.canonical
    }
}
