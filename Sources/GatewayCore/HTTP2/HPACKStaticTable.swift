/// Fields that every peer knows (RFC 7541 appendix A).
final class HPACKStaticTable: Sendable {
    static let count = 61
    /// To be kept by whoever reads it often: asking for what is made once takes longer than reading it.
    static let shared = HPACKStaticTable()

    /// The bytes of all names and values, and where each field's stand in them; the field with index 1 is the first.
    let bytes: [UInt8]
    let ranges: [(name: Range<Int>, value: Range<Int>)]

    private init() {
        bytes = Array(Self.fields.map { $0.name + $0.value }.joined().utf8)
        var end = 0
        ranges = Self.fields.map { field in
            let name = end..<end + field.name.utf8.count
            let value = name.upperBound..<name.upperBound + field.value.utf8.count
            end = value.upperBound
            return (name, value)
        }
    }

    /// A bit each, by index: those of fields with one of these names.
    static func indices(named names: Set<String>) -> UInt64 {
        fields.indices.reduce(0) { names.contains(fields[$1].name) ? $0 | 1 << UInt64($1 + 1) : $0 }
    }

    private static let fields: [(name: String, value: String)] = [
        (":authority", ""),
        (":method", "GET"),
        (":method", "POST"),
        (":path", "/"),
        (":path", "/index.html"),
        (":scheme", "http"),
        (":scheme", "https"),
        (":status", "200"),
        (":status", "204"),
        (":status", "206"),
        (":status", "304"),
        (":status", "400"),
        (":status", "404"),
        (":status", "500"),
        ("accept-charset", ""),
        ("accept-encoding", "gzip, deflate"),
        ("accept-language", ""),
        ("accept-ranges", ""),
        ("accept", ""),
        ("access-control-allow-origin", ""),
        ("age", ""),
        ("allow", ""),
        ("authorization", ""),
        ("cache-control", ""),
        ("content-disposition", ""),
        ("content-encoding", ""),
        ("content-language", ""),
        ("content-length", ""),
        ("content-location", ""),
        ("content-range", ""),
        ("content-type", ""),
        ("cookie", ""),
        ("date", ""),
        ("etag", ""),
        ("expect", ""),
        ("expires", ""),
        ("from", ""),
        ("host", ""),
        ("if-match", ""),
        ("if-modified-since", ""),
        ("if-none-match", ""),
        ("if-range", ""),
        ("if-unmodified-since", ""),
        ("last-modified", ""),
        ("link", ""),
        ("location", ""),
        ("max-forwards", ""),
        ("proxy-authenticate", ""),
        ("proxy-authorization", ""),
        ("range", ""),
        ("referer", ""),
        ("refresh", ""),
        ("retry-after", ""),
        ("server", ""),
        ("set-cookie", ""),
        ("strict-transport-security", ""),
        ("transfer-encoding", ""),
        ("user-agent", ""),
        ("vary", ""),
        ("via", ""),
        ("www-authenticate", ""),
    ]
}
