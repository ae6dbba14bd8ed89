import CBuild
import GatewayCore

/// What is running.
enum Build {
    static let version = "0.1.0"
    static let revision = String(cString: skillgate_build_revision())
    static var swift: String {
        #if swift(>=6.4)
            "6.4 or later"
        #elseif swift(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }

    static let userAgent = "skillgate/\(version)"
    static let information = MetricsSnapshot.Build(version: version, revision: revision, swift: swift)
}
