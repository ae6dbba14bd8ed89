/// One of the three installations of the Skill Messaging API. A user lives in exactly one.
package enum Region: Int, CaseIterable, Sendable {
    case northAmerica
    case europe
    case farEast

    package var name: String {
        switch self {
        case .northAmerica: "NA"
        case .europe: "EU"
        case .farEast: "FE"
        }
    }

    /// By its name in either case.
    package init?(name: String) { self.init(exactName: name.uppercased()) }

    /// By its name as `name` has it.
    package init?(exactName name: some StringProtocol) {
        guard let region = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = region
    }

    /// A region's name as it stands in a request field, in either case.
    init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard range.count == 2 else { return nil }
        if bytes.isEqualIgnoringCase(range, to: "na") {
            self = .northAmerica
        } else if bytes.isEqualIgnoringCase(range, to: "eu") {
            self = .europe
        } else if bytes.isEqualIgnoringCase(range, to: "fe") {
            self = .farEast
        } else {
            return nil
        }
    }
}

/// A value for each region.
package struct ByRegion<Value> {
    package var northAmerica: Value
    package var europe: Value
    package var farEast: Value

    package init(_ value: (Region) throws -> Value) rethrows {
        northAmerica = try value(.northAmerica)
        europe = try value(.europe)
        farEast = try value(.farEast)
    }

    package subscript(region: Region) -> Value {
        get {
            switch region {
            case .northAmerica: northAmerica
            case .europe: europe
            case .farEast: farEast
            }
        }
        _modify {
            switch region {
            case .northAmerica: yield &northAmerica
            case .europe: yield &europe
            case .farEast: yield &farEast
            }
        }
    }
}

extension ByRegion: Sendable where Value: Sendable {}
extension ByRegion: Equatable where Value: Equatable {}
