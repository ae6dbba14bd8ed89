import Foundation
import TestSupport

/// A fault of `Tests/Faults`, compiled, to be preloaded into a gateway.
struct PreloadedLibrary {
    /// For what the fault is told by.
    let folder: String
    let path: String

    init(_ name: String) async throws {
        folder = FileManager.default.temporaryDirectory.path + "/\(name)-\(UUID().uuidString)"
        path = folder + "/\(name).so"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let compiler = try RunningProcess(
            "/usr/bin/env", ["clang", "-shared", "-fPIC", "-Wall", "Tests/Faults/\(name).c", "-o", path])
        let output = await compiler.output()
        guard await compiler.exitStatus() == 0 else { throw RunningProcess.Failure(description: output) }
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }
}
