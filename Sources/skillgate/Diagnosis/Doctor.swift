import FoundationEssentials
import GatewayCore
import GatewayFiles
import GatewayRedis
import GatewayUpstream
import Glibc
import NIOCore
import NIOPosix
import TokenEndpointClient

/// Checks what a gateway with this configuration needs: the token endpoint with each skill's secret, each region with a fresh
/// token, the clock, and the store. Sends no message: the user it names does not exist.
struct Doctor {
    private static let user = "amzn1.ask.account.SKILLGATEDOCTOR"
    private static let scope = "alexa:skill_messaging"
    private static let wrongToken = "skillgate-doctor"
    /// A clock further off than this confuses people and certificates; tokens are counted by their age and do not mind.
    private static let longestSkew = 60.0

    let configuration: GatewayConfiguration
    /// Asks a gateway that runs for its `/api/status`; nil: none is asked.
    private let admin: HTTPTransfer?
    var diagnosis = Diagnosis()

    init(_ configuration: GatewayConfiguration, admin: HTTPTransfer? = nil) {
        self.configuration = configuration
        self.admin = admin
    }

    mutating func examine() async -> Diagnosis {
        var tokens: [(skill: String, token: String)] = []
        for skill in configuration.skills {
            if let token = await fetchToken(skill) { tokens.append((skill.name, token)) }
        }
        for (skill, token) in tokens { await examineRegions(skill, token) }
        if tokens.isEmpty { await reachRegions() }
        for issuer in configuration.issuers { await examineKeys(of: issuer) }
        if let events = configuration.events { await examineEvents(events) }
        if let traces = configuration.traces { await examineTraces(traces) }
        await examineStore()
        // Last: what it complains of has its cause in one of the others, as a rule.
        if let admin { await examineGateway(admin) }
        return diagnosis
    }

    // MARK: A gateway that runs

    private mutating func examineGateway(_ admin: HTTPTransfer) async {
        let gateway: RunningGateway
        do throws(RunningGateway.StatusError) {
            gateway = try await RunningGateway.ask(admin)
        } catch {
            return diagnosis.add("gateway", problem: error.description, "asked at \(admin.url)")
        }
        let subject = "gateway on \(gateway.host)"
        let limits = gateway.shrunkLimits
        if !limits.isEmpty { diagnosis.add(subject, problem: limits.joined(separator: "; "), "its limits") }
        diagnosis.add(
            subject,
            problem: gateway.state == "ready" ? nil : "\(gateway.state): \(gateway.reasons.joined(separator: "; "))",
            gateway.state == "ready" ? "ready" : "its state")
    }

    // MARK: Tokens

    private struct Grant: Decodable {
        var scope: String?
    }

    /// Nil if there is none.
    private mutating func fetchToken(_ skill: GatewayConfiguration.SkillConfiguration) async -> String? {
        let subject = "skill \(skill.name)"
        let endpoint = LoginWithAmazon(
            url: configuration.tokenEndpoint, userAgent: Build.userAgent, caFile: configuration.upstream.caFile,
            proxy: configuration.upstream.proxy.url(for: configuration.tokenEndpoint))
        var wrong: [String] = []
        let secrets: [(ClientCredentials.Secret, String)] =
            [(.current, "clientSecret")]
            + (skill.credentials.nextClientSecret == nil ? [] : [(.next, "nextClientSecret")])
        for (secret, name) in secrets {
            let response: HTTPTransfer.Response
            do {
                response = try await endpoint.transfer(skill.credentials, secret: secret).perform()
            } catch {
                diagnosis.add(
                    "token endpoint",
                    problem: error.problem(
                        reaching: configuration.tokenEndpoint,
                        through: configuration.upstream.proxy.url(for: configuration.tokenEndpoint)), error.description)
                return nil
            }
            examineClock(response)
            do {
                let grant = try LoginWithAmazon.grant(from: .success(response))
                let scope = (try? JSONDecoder().decode(Grant.self, from: Data(response.content)))?.scope
                guard scope?.split(separator: " ").contains(Substring(Self.scope)) ?? true else {
                    diagnosis.add(
                        subject,
                        problem: "the scope \(Self.scope) is not granted to its client; a token without it is "
                            + "refused with 403", "granted: `\(scope ?? "")`")
                    return nil
                }
                let lifetime = grant.lifetimeSeconds.map { "valid for \($0) s" } ?? "without a lifetime"
                let note = wrong.isEmpty ? "" : "; \(wrong.joined()) was refused"
                diagnosis.add(subject, "a token with `\(name)`, \(lifetime)\(note); \(response.times.text)")
                return grant.token
            } catch {
                if error.reason == .invalidClient && secrets.count > wrong.count + 1 {
                    wrong.append("`\(name)`")
                    continue
                }
                diagnosis.add(
                    subject, problem: Self.problem(error, response.status), "\(error.detail); \(response.times.text)")
                return nil
            }
        }
        return nil
    }

    private static func problem(_ failure: TokenFetchFailure, _ status: Int) -> String {
        switch (failure.reason, status) {
        case (.invalidClient, _): failure.text
        case (_, 429): "the token endpoint throttles: tokens are being fetched too often, here or elsewhere"
        case (_, 500...): "the token endpoint is failing (status \(status))"
        case (.refused, _) where failure.detail.contains("invalid_scope"):
            "the scope \(scope) is not granted to its client (the token endpoint says invalid_scope)"
        default: "the token endpoint does not grant a token (\(failure.detail))"
        }
    }

    private mutating func examineClock(_ response: HTTPTransfer.Response) {
        guard !diagnosis.lines.contains(where: { $0.subject == "clock" }),
            let date = response.field("Date").flatMap(HTTPDate.parse)
        else { return }
        let skew = UnixTime.now() - date
        // The field has whole seconds, and the answer took its time.
        guard abs(skew) >= 2 else { return diagnosis.add("clock", "agrees with the token endpoint's") }
        let seconds = "\(Int(abs(skew).rounded())) s \(skew > 0 ? "ahead of" : "behind") the token endpoint's"
        diagnosis.add(
            "clock", problem: abs(skew) > Self.longestSkew ? "this machine's clock is \(seconds)" : nil, seconds)
    }

    // MARK: Regions

    private enum Reached {
        case response(HTTPTransfer.Response)
        case failed(HTTPTransfer.Failure)
    }

    private func reach(_ region: Region, _ token: String?) async -> Reached {
        var fields = [("Content-Type", "application/json"), ("User-Agent", Build.userAgent)]
        if let token { fields.append(("Authorization", "Bearer \(token)")) }
        var transfer = HTTPTransfer(
            "POST", "\(configuration.endpoints[region])/v1/skillmessages/users/\(Self.user)", fields: fields,
            content: Array(#"{"data":{},"expiresAfterSeconds":60}"#.utf8))
        transfer.caFile = configuration.upstream.caFile
        transfer.proxy = configuration.upstream.proxy.url(for: transfer.url)
        // As messages go.
        switch configuration.upstream.region.http2.mode {
        case .auto: transfer.version = configuration.endpoints[region].isSecure ? .negotiated : .http1
        case .on: transfer.version = configuration.endpoints[region].isSecure ? .negotiated : .http2
        case .off: transfer.version = .http1
        }
        do {
            return .response(try await transfer.perform())
        } catch {
            return .failed(error)
        }
    }

    /// A token that is fresh, and a user that does not exist: 404 says that all is well, if a wrong token gets something else.
    private mutating func examineRegions(_ skill: String, _ token: String) async {
        var reached: [(Region, Reached)] = []
        for region in Region.allCases { reached.append((region, await reach(region, token))) }
        let refusing = reached.filter {
            if case .response(let response) = $0.1 { response.status == 403 } else { false }
        }
        for (region, result) in reached {
            let subject = "region \(region.name) for skill \(skill)"
            switch result {
            case .failed(let failure): add(failure, region, subject)
            case .response(let response):
                var problem = problem(
                    response.status, refusedEverywhere: refusing.count == Region.allCases.count, region)
                if response.status == 404 { problem = await problemOfPath(region) }
                diagnosis.add(subject, problem: problem, Self.text(response))
            }
        }
    }

    /// A path that is not there answers 404 as well. Where the API is, a wrong token is refused before any user is looked for.
    private func problemOfPath(_ region: Region) async -> String? {
        guard case .response(let response) = await reach(region, Self.wrongToken), response.status == 404 else {
            return nil
        }
        return "a wrong token gets 404 as well, and not 403: does this host serve the Skill Messaging API, at the path "
            + "in `regions.\(region.name).apiEndpoint`?"
    }

    private static func text(_ response: HTTPTransfer.Response) -> String {
        "status \(response.status) over \(response.isHTTP2 ? "HTTP/2" : "HTTP/1.1"); \(response.times.text)"
    }

    private func problem(_ status: Int, refusedEverywhere: Bool, _ region: Region) -> String? {
        switch status {
        case 404, 200...299: nil
        case 403 where refusedEverywhere:
            "a fresh token is refused in every region (403): the client is not authorized to send for a skill; is it "
                + "the skill's own messaging client?"
        case 403:
            "a fresh token that other regions accept is refused here (403): `regions.\(region.name).apiEndpoint` is "
                + "not this region's host"
        case 400: "the message is refused as invalid (400); does this host serve the Skill Messaging API?"
        case 429: "Amazon throttles (429): too many messages are being sent for this skill"
        case 500...: "the region is failing (status \(status))"
        default:
            "unexpected status \(status); does this host serve the Skill Messaging API?"
        }
    }

    private mutating func add(_ failure: HTTPTransfer.Failure, _ region: Region, _ subject: String) {
        diagnosis.add(
            subject,
            problem: failure.problem(
                reaching: configuration.endpoints[region].description,
                through: configuration.upstream.proxy.url(for: "\(configuration.endpoints[region])")),
            failure.description)
    }

    /// Without a token the way there can be looked at, at least.
    private mutating func reachRegions() async {
        for region in Region.allCases {
            let subject = "region \(region.name)"
            switch await reach(region, nil) {
            case .failed(let failure): add(failure, region, subject)
            case .response(let response):
                diagnosis.add(subject, "reached, without a token: \(Self.text(response))")
            }
        }
    }

    // MARK: Store

    /// Files are only read: a gateway may be using them.
    private mutating func examineFiles(in folder: String) {
        guard access(folder, F_OK) == 0 else {
            return diagnosis.add(
                "store", problem: TextFile.reasonNoFolder(folder).map { "records cannot be written: \($0)" },
                "\(folder) will be made")
        }
        do throws(DiskError) {
            let reports = try RecordInspection.inspect(DiskFolder(folder))
            let damages = reports.filter { !$0.damages.isEmpty }.flatMap { $0.sentences(folder: folder) }
            diagnosis.add(
                "store", problem: damages.first.map { "\($0); the gateway does not start (skillgate records check)" },
                "\(reports.count) files of records in \(folder) are whole")
            let reason = TextFile.reasonNoFolder(folder) ?? Self.reasonNotWritable(folder)
            diagnosis.add(
                "store room", problem: reason.map { "records cannot be written: \($0)" }, "\(folder) can be written")
        } catch {
            diagnosis.add("store", problem: "\(error)", "")
        }
    }

    /// Why nothing can be written to a folder, by trying.
    private static func reasonNotWritable(_ folder: String) -> String? {
        let disk = DiskFolder(folder)
        let name = "doctor-\(getpid())"
        do throws(DiskError) {
            let file = try disk.create(name)
            defer { try? disk.remove(name) }
            try file.append([UInt8](repeating: 0, count: 8192))
            return nil
        } catch {
            return error.description
        }
    }

    /// Whether Redis counts rates over all replicas.
    private mutating func examineRates(
        _ server: NIOLoopBound<RedisClient>, on eventLoop: any EventLoop, refusal: () -> String?
    ) async {
        guard configuration.sharesRates else { return }
        let isAllowed = await isAllowed(RedisPermitClient.tryOut, server, on: eventLoop)
        diagnosis.add(
            "rates of the deployment",
            problem: isAllowed
                ? nil
                : "Redis does not count them: \(refusal() ?? "it did not respond in time") (Docs/Configuration.md, Redis)",
            "counted by Redis")
    }

    /// Whether replicas can tell each other of throttled skills.
    private mutating func examineShares(
        _ server: NIOLoopBound<RedisClient>, on eventLoop: any EventLoop, refusal: () -> String?
    ) async {
        guard configuration.skills.indices.contains(where: configuration.isShared(skill:)) else { return }
        let isAllowed = await isAllowed(RedisQuotaBoard.tryOut, server, on: eventLoop)
        diagnosis.add(
            "shares of throttled skills",
            problem: isAllowed
                ? nil
                : "each replica divides by what it sees itself, since Redis does not pass on what the others see: "
                    + "\(refusal() ?? "it did not respond in time") (Docs/Configuration.md, Redis)",
            "divided over all replicas")
    }

    /// Whether the server lets what is tried out on it.
    private func isAllowed(
        _ trial: @escaping @Sendable (RedisClient, @escaping @Sendable (Bool) -> Void) -> Void,
        _ server: NIOLoopBound<RedisClient>, on eventLoop: any EventLoop
    ) async -> Bool {
        let promise = eventLoop.makePromise(of: Bool.self)
        eventLoop.execute { trial(server.value) { promise.succeed($0) } }
        return (try? await promise.futureResult.get()) ?? false
    }

    private mutating func examineStore() async {
        if configuration.idempotency.kind == .file, let folder = configuration.idempotency.file.directory {
            return examineFiles(in: folder)
        }
        guard let redis = configuration.idempotency.redis else { return }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let promise = eventLoop.makePromise(of: String?.self)
        let reasons = LastStoreError()
        let server = try? await eventLoop.submit {
            let server = try RedisClient(
                redis, clientName: "skillgate-doctor", eventLoop: eventLoop, unixMilliseconds: UnixTime.milliseconds
            ) { event in
                switch event {
                case .available:
                    // Its settings come with the next replies.
                    eventLoop.scheduleTask(in: TimeAmount(redis.commandTimeout)) { promise.succeed(nil) }
                case .lost(let reason): reasons.note(reason)
                case .refused(let text):
                    reasons.note(text)
                    promise.succeed(text)
                case .unsafe(let setting, let value): reasons.note(unsafe: "\(setting.rawValue) is \(value)")
                case .notAdopted: reasons.note(unsafe: "it does not confirm that its records are intact")
                case .wiped, .adopted, .clockJumped: break
                }
            }
            server.startWatching()
            server.start()
            return NIOLoopBound(server, eventLoop: eventLoop)
        }.get()
        let patience = redis.connectTimeout + .seconds(1)
        eventLoop.scheduleTask(in: TimeAmount(patience)) { promise.succeed(reasons.last ?? "no answer in time") }
        var problem = (try? await promise.futureResult.get()) ?? nil
        if problem == nil, let server {
            problem = await TrialRecord(server, on: eventLoop).run(refusal: { reasons.last })
        }
        let addresses = redis.addresses.map(\.description).joined(separator: ", ")
        diagnosis.add(
            "store", problem: problem.map { "Redis at \(addresses) cannot be used: \($0)" },
            "trial record in Redis at \(addresses)")
        if problem == nil {
            diagnosis.add(
                "store settings",
                problem: reasons.unsafe.isEmpty
                    ? nil
                    : "records may be lost and messages sent twice: " + reasons.unsafe.sorted().joined(separator: "; ")
                        + " (Docs/Configuration.md, Redis)",
                reasons.unsafe.isEmpty ? "all readable settings keep records safe" : "checked once")
        }
        if problem == nil, let server { await examineRates(server, on: eventLoop, refusal: { reasons.last }) }
        if problem == nil, let server { await examineShares(server, on: eventLoop, refusal: { reasons.last }) }
        if let server { try? await eventLoop.submit { server.value.shutDown() }.get() }
        try? await group.shutdownGracefully()
    }
}
