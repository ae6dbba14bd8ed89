/// The region to send a message to: the first one and, unless the request states it, the others in turn until one knows the
/// user.
///
/// A refused message was not accepted, so sending it to another region cannot duplicate it. After a timeout, a lost
/// connection or a server error the outcome may be unknown, so no other region is tried. Pure.
struct RegionSearch {
    let certainty: RegionCertainty
    private let first: Region
    private let others: [Region]
    /// How many of `others` have been tried.
    private var tried = 0
    private var notFound = 0

    /// - Parameter regions: those that may be tried; none where only the first may be.
    init(from first: Region, _ certainty: RegionCertainty, among regions: Set<Region>) {
        self.first = first
        self.certainty = certainty
        others =
            certainty == .stated || regions.isEmpty
            ? [] : Region.allCases.filter { $0 != first && regions.contains($0) }
    }

    /// Where the message goes now.
    var region: Region { tried == 0 ? first : others[tried - 1] }
    var isElsewhere: Bool { tried > 0 }
    /// Every region has responded 404.
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

    /// The refusals so far may have been due to the token, which has been renewed.
    mutating func startOver() {
        (tried, notFound) = (0, 0)
    }
}
