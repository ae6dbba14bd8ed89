import Glibc
import Logging
import Synchronization

/// How the process logs: settings that a reload may change, read by every logger there is.
final class LogSettings: Sendable {
    enum Format: String, CaseIterable {
        /// `text` on a terminal, else `json`.
        case auto
        /// A line for people.
        case text
        /// An object a line.
        case json
    }

    struct Values: Equatable {
        var level = Logger.Level.info
        var format = Format.auto
    }

    static let shared = LogSettings()

    private let level = Atomic<Int>(LogSettings.number(.info))
    private let isText = Atomic<Bool>(isatty(STDERR_FILENO) == 1)

    /// Once a process, before the first logger.
    static func bootstrap() {
        LoggingSystem.bootstrap { label in SettingsLogHandler(label: label, settings: shared) }
    }

    func use(_ values: Values) {
        level.store(Self.number(values.level), ordering: .relaxed)
        isText.store(
            values.format == .text || (values.format == .auto && isatty(STDERR_FILENO) == 1), ordering: .relaxed)
    }

    /// Until the next `use`.
    func use(_ level: Logger.Level) { self.level.store(Self.number(level), ordering: .relaxed) }

    var isReadable: Bool { isText.load(ordering: .relaxed) }

    var currentLevel: Logger.Level {
        Logger.Level.allCases[level.load(ordering: .relaxed)]
    }

    private static func number(_ level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}

/// Writes to standard error in the form that the settings say, from the level on that they say.
struct SettingsLogHandler: LogHandler {
    private let settings: LogSettings
    private var text: StreamLogHandler
    private var json = JSONLogHandler()
    /// Of a logger that was given a level of its own.
    private var ownLevel: Logger.Level?

    init(label: String, settings: LogSettings) {
        self.settings = settings
        text = .standardError(label: label)
        text.logLevel = .trace
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? settings.currentLevel }
        set { ownLevel = newValue }
    }

    var metadata: Logger.Metadata {
        get { json.metadata }
        set {
            json.metadata = newValue
            text.metadata = newValue
        }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { json.metadata[key] }
        set {
            json.metadata[key] = newValue
            text.metadata[key] = newValue
        }
    }

    func log(event: LogEvent) {
        if settings.isReadable { text.log(event: event) } else { json.log(event: event) }
    }
}
