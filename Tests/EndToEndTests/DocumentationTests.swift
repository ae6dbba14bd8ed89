import Foundation
import TestSupport
import Testing

/// Each page's commands are run as its reader would run them.
@Suite(.serialized) struct DocumentationTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Pages with commands in them.
    private static let pages: [String] = {
        let docs =
            (try? FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent("Docs").path)) ?? []
        return (["README.md"] + docs.filter { $0.hasSuffix(".md") }.map { "Docs/" + $0 }.sorted()).filter { path in
            let text = try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
            return text?.contains("```sh") == true || text?.contains("<!-- test:") == true
        }
    }()

    @Test(arguments: pages)
    func `what a page says can be done`(page: String) async throws {
        let reader = try RunningProcess.python("docs.py", [page])
        defer { reader.signal(SIGKILL) }
        let output = await reader.output()
        #expect(await reader.exitStatus() == 0, "\(output)")
    }

    @Test func `links between pages lead somewhere`() throws {
        for page in try Self.allPages() {
            let file = Self.root.appendingPathComponent(page)
            let text = try String(contentsOf: file, encoding: .utf8)
            for link in text.matches(of: /\]\(([^)\s]+)\)/).map({ String($0.1) }) where !link.contains("://") {
                let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                let target =
                    parts[0].isEmpty
                    ? file : file.deletingLastPathComponent().appendingPathComponent(String(parts[0]))
                #expect(FileManager.default.fileExists(atPath: target.path), "\(page): \(link)")
                guard parts.count == 2, target.pathExtension == "md" else { continue }
                let headings = try String(contentsOf: target, encoding: .utf8).matches(of: /(?m)^#+ (.+)$/).map {
                    $0.1.lowercased().filter { $0.isLetter || $0.isNumber || " -_".contains($0) }
                        .replacingOccurrences(of: " ", with: "-")
                }
                #expect(headings.contains(String(parts[1])), "\(page): \(link)")
            }
        }
    }

    @Test func `each page is in the index by task`() throws {
        let index = try String(contentsOf: Self.root.appendingPathComponent("Docs/README.md"), encoding: .utf8)
        for page in try Self.allPages() where page.hasPrefix("Docs/") && !page.contains("Decisions/") {
            let name = String(page.dropFirst("Docs/".count))
            #expect(name == "README.md" || index.contains("(\(name)"), "\(page)")
        }
    }

    @Test func `the pictures are those that are drawn, and name options that there are`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let draw = try RunningProcess(
            "/usr/bin/python3", [Self.root.appendingPathComponent("Docs/Pictures/draw").path, folder.path])
        #expect(await draw.exitStatus() == 0)
        for name in ["record.svg", "deployments.svg"] {
            let drawn = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            let shown = try String(
                contentsOf: Self.root.appendingPathComponent("Docs/Pictures/\(name)"), encoding: .utf8)
            #expect(drawn == shown, "\(name)")
        }
        let picture = try String(contentsOf: folder.appendingPathComponent("deployments.svg"), encoding: .utf8)
        let options = try String(
            contentsOf: Self.root.appendingPathComponent("Docs/Configuration.md"), encoding: .utf8)
        let named = picture.matches(of: /class="small">([^<]+)</).flatMap { $0.1.split(separator: ", ") }
            .filter { $0.contains(/[a-z][A-Z.]/) || ["issuers", "listeners", "regions"].contains($0) }
        #expect(named.count >= 8)
        for option in named {
            let row = try Regex("\\| `([a-z]+(\\[\\])?\\.)*\(option.replacing(".", with: "\\."))[`.\\[]")
            #expect(options.contains(row), "\(option)")
        }
    }

    private static func allPages() throws -> [String] {
        let files = FileManager.default.enumerator(atPath: root.appendingPathComponent("Docs").path)
        let names = (files?.allObjects as? [String] ?? []).filter { $0.hasSuffix(".md") }
        return ["README.md"] + names.map { "Docs/" + $0 }
    }
}
