import FoundationEssentials
import GatewayCore
import Logging

/// The requests by which an operator changes something: `POST /api/drain`, `/api/log-level`, `/api/pause`, `/api/resume`.
enum AdminVerbs {
    static let paths = ["/api/drain", "/api/log-level", "/api/pause", "/api/resume"]

    /// The content of requests; each verb has its members.
    private struct Parameters: Decodable {
        var level: String?
        var skill: String?
        var caller: String?
        var region: String?
        /// To resume everything.
        var all: Bool?

        var names: [String] { [skill, caller, region].compactMap { $0 } }
    }

    /// What is said when it is done.
    private struct Outcome: Encodable {
        struct Subject: Encodable {
            var kind: String
            var name: String
        }

        var paused: [Subject]
    }

    static func page(
        _ path: String, _ content: [UInt8], _ control: AdminControl, by actor: AdminControl.Actor
    ) throws -> Page {
        let refused: AdminControl.Refused?
        do throws(AdminControl.Refused) {
            refused = control.perform(try verb(path, content), actor)
        } catch {
            refused = error
        }
        if let refused { return .text(refused.detail + "\n", status: 400) }
        return try .json(Outcome(paused: control.paused().map { .init(kind: $0.kind, name: $0.name) }))
    }

    private static func verb(_ path: String, _ content: [UInt8]) throws(AdminControl.Refused) -> AdminControl.Verb {
        if path == "/api/drain" { return .drain }
        guard let parameters = try? JSONDecoder().decode(Parameters.self, from: Data(content)) else {
            throw AdminControl.Refused("the content is not a JSON object with members of this request")
        }
        guard path != "/api/log-level" else {
            guard let level = parameters.level.flatMap(Logger.Level.init(rawValue:)) else {
                let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw AdminControl.Refused("expected `level`: \(levels)")
            }
            return .logLevel(level)
        }
        let isPause = path == "/api/pause"
        if !isPause, parameters.all == true, parameters.names.isEmpty { return .resumeAll }
        let subject = try subject(of: parameters)
        return isPause ? .pause(subject) : .resume(subject)
    }

    private static func subject(of parameters: Parameters) throws(AdminControl.Refused) -> Pauses.Subject {
        switch (parameters.skill, parameters.caller, parameters.region) {
        case (let name?, nil, nil): return .skill(name)
        case (nil, let name?, nil): return .caller(name)
        case (nil, nil, let name?):
            guard let region = Region(exactName: name) else {
                throw AdminControl.Refused("there is no region `\(name)`; expected NA, EU or FE")
            }
            return .region(region)
        default: throw AdminControl.Refused("expected one of `skill`, `caller` and `region`")
        }
    }
}
