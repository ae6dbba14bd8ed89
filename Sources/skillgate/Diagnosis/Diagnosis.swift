import TokenEndpointClient

/// What `skillgate doctor` found out, one line for each thing it looked at.
struct Diagnosis {
    struct Line {
        var subject: String
        /// Nil where all is well.
        var problem: String?
        /// What was seen, and how long each phase took.
        var detail: String
    }

    private(set) var lines: [Line] = []

    var isHealthy: Bool { lines.allSatisfy { $0.problem == nil } }

    mutating func add(_ subject: String, problem: String? = nil, _ detail: String) {
        lines.append(Line(subject: subject, problem: problem, detail: detail))
    }

    /// The first line names the cause; the others say what was looked at.
    var text: String {
        let problems = lines.compactMap { line in line.problem.map { "\(line.subject): \($0)" } }
        let more = problems.count > 1 ? " (and \(problems.count - 1) more)" : ""
        let head = problems.first.map { "problem: \($0)\(more)" } ?? "healthy"
        return ([head] + lines.map(Self.text)).joined(separator: "\n")
    }

    private static func text(_ line: Line) -> String {
        guard let problem = line.problem else { return "  ok     \(line.subject): \(line.detail)" }
        return "  FAIL   \(line.subject): \(problem) [\(line.detail)]"
    }
}

extension HTTPTransfer.Times {
    /// `resolve 0.2 ms, connect 0.1 ms, TLS 12.0 ms, answer 30.4 ms`
    var text: String {
        var phases = [("resolve", resolved), ("connect", connected - resolved)]
        if secured > .zero { phases.append(("TLS", secured - connected)) }
        phases.append(("answer", answered - max(connected, secured)))
        return phases.map { "\($0.0) \(Self.milliseconds($0.1)) ms" }.joined(separator: ", ")
    }

    private static func milliseconds(_ duration: Duration) -> String {
        let tenths = max(
            0, duration.components.attoseconds / 100_000_000_000_000 + duration.components.seconds * 10_000)
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension HTTPTransfer.Failure {
    /// What is wrong between this machine and `url`.
    ///
    /// - Parameter proxy: the URL of the proxy that it is reached through; nil: none.
    /// - Parameter caFile: the option for certificates that are trusted there.
    func problem(
        reaching url: String, through proxy: String? = nil, caFile: String = "upstream.trust.caFile"
    ) -> String {
        // Connections go to the proxy; its user and password are nobody's business.
        let end = (proxy ?? url).split(separator: "/").dropFirst().first.map(String.init) ?? url
        let authority = end.split(separator: "@").last.map(String.init) ?? end
        let host = proxy == nil ? authority : "the proxy \(authority)"
        return switch reason {
        case .notResolved: "the host name of \(host) cannot be resolved; check its spelling and DNS"
        case .notConnected: "nothing is listening at \(host), or the connection is blocked on the way"
        case .notSecured:
            "no trusted TLS connection to \(host) (\(description)); is `\(caFile)` missing, or is it not a TLS port?"
        case .timeout: "\(host) did not respond in time"
        case .tooLarge, .badRequest, .broken: "communication with \(host) failed: \(description)"
        }
    }
}
