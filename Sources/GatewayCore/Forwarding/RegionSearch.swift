/// Which region a message goes to: the first one, and, where that is a guess, the others in turn until one knows the user.
///
/// A message that was refused was not accepted, so nothing is sent twice. After a time-out, a lost connection or an error
/// of Amazon's nobody knows, and nothing is tried elsewhere. Pure.
struct RegionSearch {
    /// How it is known where the user lives.
    enum Certainty {
        /// The request says so.
        case stated
        /// From earlier messages, or from what somebody said.
        case learned
        /// It is the skill's default, or the first region there is.
        case guessed
    }

    let certainty: Certainty
    private let first: Region
    private let others: [Region]
    /// Of the others.
    private var tried = 0
    private var notFound = 0

    /// - Parameter regions: those that may be tried; none where only the first may be.
    init(from first: Region, _ certainty: Certainty, among regions: Set<Region>) {
        self.first = first
        self.certainty = certainty
        others =
            certainty == .stated || regions.isEmpty
            ? [] : Region.allCases.filter { $0 != first && regions.contains($0) }
    }

    /// Where the message goes now.
    var region: Region { tried == 0 ? first : others[tried - 1] }
    var isElsewhere: Bool { tried > 0 }
    /// Each region there is has answered 404.
    var isUnknownEverywhere: Bool { notFound == Region.allCases.count }

    /// Region `region` refused the message with this status.
    ///
    /// - Parameter isTokenProven: Amazon has accepted a message with the same token, so that a 403 is about the user.
    /// - Returns: whether the message goes to another region now.
    mutating func refused(status: Int, isTokenProven: Bool) -> Bool {
        // Amazon does not say whether a userId of another region is unknown or forbidden.
        let mayLiveElsewhere = status == 404 || status == 403 && certainty == .guessed && isTokenProven
        guard mayLiveElsewhere else { return false }
        if status == 404 { notFound += 1 }
        guard tried < others.count else { return false }
        tried += 1
        return true
    }

    /// The refusals so far were the token's fault, and there is another one now.
    mutating func startOver() {
        (tried, notFound) = (0, 0)
    }
}
