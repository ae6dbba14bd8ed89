/// What stands before a path of the data plane, for callers that can choose a base URL and nothing else:
/// `/skills/{name}`, `/regions/{NA|EU|FE}`, or both in this order. It states what the fields of the same names state.
package struct BasePath: Equatable {
    /// The skill's name, percent-encoded, by its place in the head.
    private(set) var skill: Range<Int>?
    private(set) var region: Region?
    /// The path behind it, by its place in the head.
    package private(set) var rest: Range<Int>

    /// - Parameter path: as it stands in the head.
    package init(_ bytes: Span<UInt8>, _ path: Range<Int>) throws(Refusal) {
        rest = path
        // Nearly all paths begin otherwise.
        guard path.count > 1, bytes[path.lowerBound + 1] != UInt8(ascii: "v") else { return }
        skill = takeSegment(behind: "/skills/", bytes)
        guard let name = takeSegment(behind: "/regions/", bytes) else { return }
        guard let region = Region(bytes, name) else {
            throw Refusal(.notFound, "no such path; expected `/regions/NA`, `/regions/EU` or `/regions/FE`")
        }
        self.region = region
    }

    /// The segment behind `prefix`, which is not empty; nil if the path begins otherwise.
    private mutating func takeSegment(behind prefix: StaticString, _ bytes: Span<UInt8>) -> Range<Int>? {
        let start = rest.lowerBound + prefix.utf8CodeUnitCount
        guard start < rest.upperBound, bytes.isEqual(rest.lowerBound..<start, to: prefix) else { return nil }
        let segment = start..<bytes.first(UInt8(ascii: "/"), in: start..<rest.upperBound)
        guard !segment.isEmpty else { return nil }
        rest = segment.upperBound..<rest.upperBound
        return segment
    }
}
