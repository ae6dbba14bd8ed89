import Testing

@testable import GatewayCore

struct UpstreamStatusTests {
    private func status(limit: Int, skills: [Int: Int] = [:]) -> UpstreamStatus {
        var status = UpstreamStatus()
        status.inFlightLimit = limit
        status.inFlightMaximum = 256
        status.skillLimits = skills
        return status
    }

    @Test func `a skill that is limited on one event loop has the region's limit on the others`() {
        var sum = status(limit: 256, skills: [1: 4])
        sum.add(status(limit: 100, skills: [2: 10]))
        #expect(sum.inFlightLimit == 356 && sum.inFlightMaximum == 512)
        #expect(sum.skillLimits == [1: 104, 2: 266])
        sum.add(status(limit: 256))
        #expect(sum.skillLimits == [1: 360, 2: 522])
    }
}
