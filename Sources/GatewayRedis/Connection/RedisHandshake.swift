/// Who answered at the other end.
struct RedisIdentity: Equatable {
    /// Random for each start of a server; empty where the server does not tell.
    var runID = ""
    /// Of this connection, among those of one `runID`.
    var clientID: Int?
    /// Those that are connected to it; nil where it does not tell.
    var replicas: Set<RedisConfiguration.Address>?
}

/// The first exchange on a connection: one command at a time, the next one by the reply. Pure.
struct RedisHandshake {
    enum Role {
        /// Keeps records: has to be a master that has loaded its data.
        case records
        /// A node of a cluster, which says itself whose a key is.
        case clusterNode
        case sentinel
    }

    enum Step: Equatable {
        case send([String])
        case ready(RedisIdentity)
        /// For the log; holds nothing secret.
        case failed(String)
    }

    private enum State {
        /// RESP3. Can transition to: selecting, informing, ready; for RESP2 to authenticating, naming.
        case greeting
        case authenticating
        case naming
        case identifying
        case selecting
        case informing
        case fencing
        case ready
    }

    private let role: Role
    private let credentials: RedisConfiguration.Credentials?
    private let database: Int
    private let clientName: String
    /// An earlier connection whose last commands may still wait to be read by the server.
    private let predecessor: RedisIdentity?
    private var state = State.greeting
    private var identity = RedisIdentity()

    init(
        _ role: Role, credentials: RedisConfiguration.Credentials?, database: Int, clientName: String,
        predecessor: RedisIdentity?
    ) {
        self.role = role
        self.credentials = credentials
        self.database = role == .records ? database : 0
        self.clientName = clientName
        self.predecessor = predecessor
    }

    func start() -> [String] {
        var hello = ["HELLO", "3"]
        if let credentials { hello += ["AUTH", credentials.username ?? "default", credentials.password] }
        return hello + ["SETNAME", clientName]
    }

    mutating func received(_ reply: RESPValue) -> Step {
        switch state {
        case .greeting: greeted(reply)
        case .authenticating: authenticated(reply)
        case .naming: named()
        case .identifying: identified(reply)
        case .selecting: selected(reply)
        case .informing: informed(reply)
        case .fencing: fenced(reply)
        case .ready: .failed("unexpected reply")
        }
    }

    private mutating func greeted(_ reply: RESPValue) -> Step {
        guard case .error(let text) = reply else {
            if case .integer(let id) = reply.member("id") { identity.clientID = id }
            return proceed()
        }
        // A server, or a proxy before it, that speaks the older protocol only.
        let isUnknown = ["unknown command", "unknown subcommand", "NOPROTO"].contains { text.contains($0) }
        guard isUnknown else { return .failed("it refuses the connection: \(Self.word(text))") }
        guard let credentials else {
            state = .naming
            return .send(["CLIENT", "SETNAME", clientName])
        }
        state = .authenticating
        return .send(["AUTH"] + (credentials.username.map { [$0] } ?? []) + [credentials.password])
    }

    private mutating func authenticated(_ reply: RESPValue) -> Step {
        if case .error(let text) = reply { return .failed("it refuses the password: \(Self.word(text))") }
        state = .naming
        return .send(["CLIENT", "SETNAME", clientName])
    }

    /// SETNAME is cosmetic; failure is ignored.
    private mutating func named() -> Step {
        state = .identifying
        return .send(["CLIENT", "ID"])
    }

    private mutating func identified(_ reply: RESPValue) -> Step {
        if case .integer(let id) = reply { identity.clientID = id }
        return proceed()
    }

    /// Behind the greeting.
    private mutating func proceed() -> Step {
        if database > 0 {
            state = .selecting
            return .send(["SELECT", String(database)])
        }
        return inform()
    }

    private mutating func selected(_ reply: RESPValue) -> Step {
        if case .error(let text) = reply { return .failed("it has no database \(database): \(Self.word(text))") }
        return inform()
    }

    private mutating func inform() -> Step {
        guard role != .sentinel else { return becomeReady() }
        state = .informing
        return .send(["INFO"])
    }

    private mutating func informed(_ reply: RESPValue) -> Step {
        // Where a user may not ask, what matters shows with the first command.
        if let text = reply.text {
            let information = ServerInformation(text)
            identity.runID = information["run_id"] ?? ""
            identity.replicas = information.replicas
            if information["loading"] == "1" { return .failed("it is loading its data") }
            if role == .records, information["role"] == "slave" { return .failed("it is a replica") }
        }
        // What the last connection sent may still lie unread in the server's buffers and be done later. Ending that
        // connection at the server decides it: either it was done before this, or it never will be.
        guard let predecessor, let clientID = predecessor.clientID, !identity.runID.isEmpty,
            predecessor.runID == identity.runID
        else { return becomeReady() }
        state = .fencing
        return .send(["CLIENT", "KILL", "ID", String(clientID)])
    }

    private mutating func fenced(_ reply: RESPValue) -> Step {
        // An old server without `ID`, or a user without the right: the connection is usable anyway.
        becomeReady()
    }

    private mutating func becomeReady() -> Step {
        state = .ready
        return .ready(identity)
    }

    /// The word that says which error it is; the rest of the text may quote what was sent.
    private static func word(_ error: String) -> String { String(error.prefix { $0 != " " }) }
}
