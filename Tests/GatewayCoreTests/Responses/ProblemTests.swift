import Foundation
import Testing

@testable import GatewayCore

@Suite struct ProblemTests {
    /// `Link` leads there.
    @Test func `each problem has its line in the page for back ends`() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..")
        let page = try String(contentsOf: root.appendingPathComponent("Docs/API.md"), encoding: .utf8)
        let lines = page.matches(of: /\| <a id="([a-z-]+)"><\/a>`([a-z-]+)` \| (\d+) \|/)
        #expect(lines.allSatisfy { $0.1 == $0.2 })
        let written = lines.map { "\($0.1) \($0.3)" }
        let declared = Set(Problem.allCases.map { "\($0.row.type) \($0.row.status)" })
        #expect(written.count == Set(written).count && Set(written) == declared)
    }
}
