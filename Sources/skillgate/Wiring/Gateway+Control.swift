import GatewayAdmin
import GatewayCore
import Glibc
import Logging
import NIOCore

/// What operators do to the running process, each written to the log and to the audit log.
extension Gateway {
    var control: AdminControl {
        AdminControl(
            perform: { [self] verb, actor in
                do throws(AdminControl.Refused) {
                    try perform(verb, by: actor)
                    return nil
                } catch {
                    return error
                }
            },
            paused: { [pauses] in pauses.all })
    }

    private func perform(_ verb: AdminControl.Verb, by actor: AdminControl.Actor) throws(AdminControl.Refused) {
        switch verb {
        case .drain:
            done("drain", on: nil, by: actor)
            kill(getpid(), SIGTERM)
        case .logLevel(let level):
            // Before the log is told to be quiet.
            done("log-level", on: level.rawValue, by: actor)
            LogSettings.shared.use(level)
        case .pause(let subject):
            try checkIsKnown(subject)
            pauses.pause(subject)
            done("pause", on: subject.description, by: actor)
        case .resume(let subject):
            // What is gone from the configuration can be resumed all the same.
            guard pauses.resume(subject) else { throw AdminControl.Refused("\(subject) is not paused") }
            done("resume", on: subject.description, by: actor)
        case .resumeAll:
            for subject in pauses.all where pauses.resume(subject) {
                done("resume", on: subject.description, by: actor)
            }
        }
    }

    private func checkIsKnown(_ subject: Pauses.Subject) throws(AdminControl.Refused) {
        let configuration = runningConfiguration
        let names: [String]
        switch subject {
        case .skill: names = configuration.skills.map(\.name)
        case .caller: names = configuration.callers.map(\.name)
        case .region: return
        }
        guard !names.contains(subject.name) else { return }
        throw AdminControl.Refused("there is no \(subject); expected one of \(names.joined(separator: ", "))")
    }

    private func done(_ verb: String, on subject: String?, by actor: AdminControl.Actor) {
        logger.warning(
            "done by an operator",
            metadata: [
                "gateway.verb": "\(verb)", "gateway.subject": "\(subject ?? "")",
                "gateway.operator": "\(actor.name ?? "at the socket")",
            ])
        guard let operatorLog else { return }
        controlLoop.execute { operatorLog.value.operated(verb, on: subject, by: actor.name, at: actor.address) }
    }
}
