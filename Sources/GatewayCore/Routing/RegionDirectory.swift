/// Which region an API endpoint belongs to: what `Gateway-Api-Endpoint` is matched against.
package struct RegionDirectory: Sendable {
    private var regions: [APIEndpoint: Region] = [:]
    /// The usual spellings, compared byte by byte before anything is parsed.
    private var spellings: [(bytes: [UInt8], region: Region)] = []

    package struct Conflict: Error, Equatable {
        package var endpoint: APIEndpoint
        package var regions: [Region]
    }

    /// - Parameter endpoints: each region's endpoint and aliases. Amazon's own are known besides, so that what a user's
    ///   request said of its region keeps its meaning when a region is configured to be somewhere else.
    package init(_ endpoints: ByRegion<[APIEndpoint]>) throws(Conflict) {
        for region in Region.allCases {
            for endpoint in endpoints[region] {
                if let other = regions[endpoint], other != region {
                    throw Conflict(endpoint: endpoint, regions: [other, region])
                }
                regions[endpoint] = region
            }
        }
        for region in Region.allCases {
            for endpoint in [.official(region)] + APIEndpoint.officialAliases(region) where regions[endpoint] == nil {
                regions[endpoint] = region
            }
        }
        spellings = regions.map { (Array($0.key.description.utf8), $0.value) }
            .sorted { $0.bytes.count < $1.bytes.count }
    }

    /// The region of the endpoint that stands in `range`, or nil when no region is known by it.
    package func region(of bytes: Span<UInt8>, _ range: Range<Int>) -> Region? {
        for spelling in spellings where Self.isEqual(bytes, range, spelling.bytes) { return spelling.region }
        guard let endpoint = try? APIEndpoint(parsing: bytes.text(range)) else { return nil }
        return regions[endpoint]
    }

    private static func isEqual(_ bytes: Span<UInt8>, _ range: Range<Int>, _ other: [UInt8]) -> Bool {
        guard range.count == other.count else { return false }
        for offset in 0..<other.count where bytes[range.lowerBound + offset] != other[offset] { return false }
        return true
    }
}
