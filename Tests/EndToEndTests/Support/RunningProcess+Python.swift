import Foundation
import TestSupport
import Testing

extension RunningProcess {
    /// A script of the folder `Python`, run by the Python that `Tests/run` sets up.
    static func python(
        _ script: String, _ arguments: [String] = [], environment: [String: String] = [:]
    ) throws -> RunningProcess {
        let python = try #require(
            ProcessInfo.processInfo.environment["TEST_PYTHON"],
            "Tests/run installs what the scripts need, and says where it is")
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Python/\(script)")
        return try RunningProcess(python, [file.path] + arguments, environment: environment)
    }
}
