/// Divides what there is between those who want it, by weight: who wants less than its share gets all that it wants, and what it leaves goes
/// to the others (weighted max-min fairness).
enum FairShares {
    struct Demand: Equatable {
        /// A second.
        var wanted: Double
        /// More than 0.
        var weight: Double
    }

    /// - Returns: what each may have a second; nil: as much as it wants.
    static func divide(_ total: Double, among demands: [Demand]) -> [Double?] {
        var left = total
        var weight = demands.reduce(0) { $0 + $1.weight }
        // Those who want the least for their weight come first: once one of them gets less than it wants, so do all behind it.
        let order = demands.indices.sorted {
            demands[$0].wanted * demands[$1].weight < demands[$1].wanted * demands[$0].weight
        }
        var shares = [Double?](repeating: nil, count: demands.count)
        for (place, index) in order.enumerated() {
            let demand = demands[index]
            guard demand.wanted > left * demand.weight / weight else {
                left -= demand.wanted
                weight -= demand.weight
                continue
            }
            for index in order[place...] { shares[index] = left * demands[index].weight / weight }
            break
        }
        return shares
    }
}
