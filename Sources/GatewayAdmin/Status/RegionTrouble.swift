package import GatewayCore

/// A region to which most messages of late have failed, for no fault of their own.
package struct RegionTrouble: Equatable, Sendable {
    package var region: Region
    /// From 0 to 1.
    package var share: Double
    /// Which most of them were answered with.
    package var status: String

    /// Below so many messages nothing is said.
    private static let minimum = 10.0
    /// What is looked at, in seconds.
    private static let window = 30.0

    /// Every region of which at least half of the messages of the last half minute have failed.
    package static func all(in points: [TrafficHistory.Point]) -> [RegionTrouble] {
        guard let end = points.last?.time else { return [] }
        var total: [String: Double] = [:]
        var failed: [String: [String: Double]] = [:]
        for (point, before) in zip(points.dropFirst(), points) where point.time > end - window {
            let seconds = point.time - before.time
            for (name, region) in point.regions {
                total[name, default: 0] += region.total * seconds
                for (status, rate) in region.failed {
                    failed[name, default: [:]][status, default: 0] += rate * seconds
                }
            }
        }
        return Region.allCases.compactMap { region in
            let failures = failed[region.name] ?? [:]
            let (all, bad) = (total[region.name] ?? 0, failures.values.reduce(0, +))
            guard all >= minimum, bad * 2 >= all, let most = failures.max(by: { $0.value < $1.value }) else {
                return nil
            }
            return RegionTrouble(region: region, share: min(1, bad / all), status: most.key)
        }
    }

    var text: String {
        "\(Int((share * 100).rounded())) % of the messages to region \(region.name) fail, mostly with \(status)"
    }
}
