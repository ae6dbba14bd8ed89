import Synchronization

/// What an operator has paused in this process: messages of it are not sent. For all event loops; outlives reloads.
package final class Pauses: Sendable {
    /// By the names of the configuration.
    package enum Subject: Hashable, Sendable, CustomStringConvertible {
        case skill(String)
        case caller(String)
        case region(Region)

        /// As the labels of metrics have it.
        package var kind: String {
            switch self {
            case .skill: "skill"
            case .caller: "caller"
            case .region: "region"
            }
        }

        package var name: String {
            switch self {
            case .skill(let name), .caller(let name): name
            case .region(let region): region.name
            }
        }

        package var description: String { "\(kind) \(name)" }
    }

    private let subjects = Mutex<Set<Subject>>([])
    /// Nearly always zero, so that nobody has to ask.
    private let count = Atomic<Int>(0)

    package init() {}

    package func pause(_ subject: Subject) {
        subjects.withLock { subjects in
            subjects.insert(subject)
            count.store(subjects.count, ordering: .relaxed)
        }
    }

    /// - Returns: whether it was paused before.
    package func resume(_ subject: Subject) -> Bool {
        subjects.withLock { subjects in
            defer { count.store(subjects.count, ordering: .relaxed) }
            return subjects.remove(subject) != nil
        }
    }

    /// By kind and name.
    package var all: [Subject] {
        subjects.withLock { Array($0) }.sorted { ($0.kind, $0.name) < ($1.kind, $1.name) }
    }

    /// What of a message is paused; nil: nothing.
    func subject(of caller: Caller, _ skill: Skill) -> Subject? {
        guard count.load(ordering: .relaxed) > 0 else { return nil }
        return subjects.withLock { subjects in
            [Subject.skill(skill.name), .caller(caller.name)].first(where: subjects.contains)
        }
    }

    /// The same of one that goes to this region.
    func subject(of caller: Caller, _ skill: Skill, to region: Region) -> Subject? {
        subject(of: caller, skill) ?? subject(of: region)
    }

    private func subject(of region: Region) -> Subject? {
        guard count.load(ordering: .relaxed) > 0 else { return nil }
        return subjects.withLock { $0.contains(.region(region)) } ? .region(region) : nil
    }
}
