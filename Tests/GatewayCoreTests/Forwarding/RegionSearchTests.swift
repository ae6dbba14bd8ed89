import Testing

@testable import GatewayCore

struct RegionSearchTests {
    private let all = Set(Region.allCases)

    /// A mutating call, for expectations.
    private func refused(_ search: inout RegionSearch, _ status: Int, isTokenProven: Bool) -> Bool {
        search.refused(status: status, isTokenProven: isTokenProven)
    }

    @Test func `a guess is followed by the other regions, in their order`() {
        var search = RegionSearch(from: .europe, .guessed, among: all)
        #expect(search.region == .europe && !search.isElsewhere)
        #expect(refused(&search, 404, isTokenProven: false))
        #expect(search.region == .northAmerica && search.isElsewhere)
        #expect(refused(&search, 404, isTokenProven: false))
        #expect(search.region == .farEast && !search.isUnknownEverywhere)
        #expect(!refused(&search, 404, isTokenProven: false))
        #expect(search.region == .farEast && search.isUnknownEverywhere)
    }

    @Test func `a region that is stated is the only one`() {
        var search = RegionSearch(from: .europe, .stated, among: all)
        #expect(!refused(&search, 404, isTokenProven: true))
        #expect(search.region == .europe && !search.isUnknownEverywhere)
    }

    @Test func `only regions that may be tried are`() {
        var search = RegionSearch(from: .europe, .guessed, among: [.europe, .farEast])
        #expect(refused(&search, 404, isTokenProven: false))
        #expect(search.region == .farEast)
        #expect(!refused(&search, 404, isTokenProven: false))
        #expect(!search.isUnknownEverywhere, "one was never asked")
        var alone = RegionSearch(from: .europe, .guessed, among: [])
        #expect(!refused(&alone, 404, isTokenProven: false))
    }

    /// A 403 may be the token's fault, or say that the user is another region's.
    @Test(arguments: [
        (RegionCertainty.guessed, true, true), (.guessed, false, false), (.learned, true, false),
    ])
    func `a 403 means another region only for a guess with a proven token`(
        certainty: RegionCertainty, isTokenProven: Bool, goesElsewhere: Bool
    ) {
        var search = RegionSearch(from: .europe, certainty, among: all)
        #expect(refused(&search, 403, isTokenProven: isTokenProven) == goesElsewhere)
    }

    @Test(arguments: [400, 429, 500, 503]) func `no other refusal is about the region`(status: Int) {
        var search = RegionSearch(from: .europe, .guessed, among: all)
        #expect(!refused(&search, status, isTokenProven: true))
    }

    @Test func `with another token the search starts over`() {
        var search = RegionSearch(from: .europe, .guessed, among: all)
        #expect(refused(&search, 404, isTokenProven: false))
        search.startOver()
        #expect(search.region == .europe && !search.isElsewhere)
        for _ in 0..<2 { #expect(refused(&search, 404, isTokenProven: false)) }
        #expect(!refused(&search, 404, isTokenProven: false))
        #expect(search.isUnknownEverywhere)
    }
}
