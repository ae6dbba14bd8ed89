import Glibc
package import NIOCore

/// Dates in the form of RFC 9110 section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
package enum HTTPDate {
    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Unix time in seconds; nil for anything else.
    package static func parse(_ text: String) -> Double? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]), let year = Int32(words[3]),
            let month = months.firstIndex(of: String(words[2])), (1970...9999).contains(year), (1...31).contains(day)
        else { return nil }
        let time = words[4].split(separator: ":").compactMap { Int32($0) }
        guard time.count == 3, (0...23).contains(time[0]), (0...59).contains(time[1]), (0...60).contains(time[2]) else {
            return nil
        }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (time[0], time[1], time[2])
        return Double(timegm(&parts))
    }

    /// The `Date` field line with its CR LF.
    ///
    /// - Parameter unixTime: in seconds.
    package static func fieldLine(unixTime: Int) -> ByteBuffer {
        var time = time_t(unixTime)
        var parts = tm()
        gmtime_r(&time, &parts)
        var line = ByteBuffer(string: "Date: \(days[Int(parts.tm_wday) % 7]), ")
        TimestampWriter.writePadded(Int(parts.tm_mday), digits: 2, to: &line)
        line.writeString(" \(months[Int(parts.tm_mon) % 12]) \(Int(parts.tm_year) + 1900)")
        for (mark, part) in [(" ", parts.tm_hour), (":", parts.tm_min), (":", parts.tm_sec)] {
            line.writeString(mark)
            TimestampWriter.writePadded(Int(part), digits: 2, to: &line)
        }
        line.writeString(" GMT\r\n")
        return line
    }
}
