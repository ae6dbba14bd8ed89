import Glibc
import NIOCore

/// A moment of the wall clock: for what people read, and for what outlives a process.
package struct UnixTimestamp: Equatable, Sendable {
    /// Since 1970-01-01T00:00:00Z, leap seconds not counted.
    package var seconds: Int
    package var nanoseconds: Int

    package init(seconds: Int, nanoseconds: Int) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    package init(milliseconds: Int64) {
        let (quotient, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        let isBefore = rest < 0
        self.init(
            seconds: Int(quotient) - (isBefore ? 1 : 0), nanoseconds: Int(rest + (isBefore ? 1000 : 0)) * 1_000_000)
    }

    package var milliseconds: Int64 {
        let (product, overflows) = Int64(clamping: seconds).multipliedReportingOverflow(by: 1000)
        return overflows
            ? (seconds < 0 ? .min : .max) : product.addingReportingOverflow(Int64(nanoseconds / 1_000_000)).partialValue
    }

    package static func + (timestamp: Self, duration: Duration) -> Self {
        let sum =
            Duration(secondsComponent: Int64(timestamp.seconds), attosecondsComponent: 0)
            + .nanoseconds(timestamp.nanoseconds) + duration
        let (seconds, attoseconds) = sum.components
        let isBefore = attoseconds < 0
        return Self(
            seconds: Int(clamping: seconds) - (isBefore ? 1 : 0),
            nanoseconds: Int(attoseconds / 1_000_000_000) + (isBefore ? 1_000_000_000 : 0))
    }
}

extension UnixTimestamp {
    /// As RFC 3339, in UTC with milliseconds.
    package var text: String {
        var buffer = ByteBuffer()
        buffer.writeTimestamp(self)
        return String(buffer: buffer)
    }

    /// Nil for other than what `text` gives: `2026-11-24T05:13:12.345Z`.
    package init?(text: String) {
        let bytes = Array(text.utf8)
        let marks: [Int: UInt8] = [4: 0x2D, 7: 0x2D, 10: 0x54, 13: 0x3A, 16: 0x3A, 19: 0x2E, 23: 0x5A]
        guard bytes.count == 24, marks.allSatisfy({ bytes[$0.key] == $0.value }) else { return nil }
        func number(_ range: Range<Int>) -> Int32? { bytes.span.decimal(range).map { Int32(clamping: $0) } }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            let milliseconds = number(20..<23), (1...12).contains(month), (1...31).contains(day), hour < 24,
            minute < 60, second < 60
        else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, month - 1, day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (hour, minute, second)
        self.init(seconds: Int(timegm(&parts)), nanoseconds: Int(milliseconds) * 1_000_000)
    }
}

extension ByteBuffer {
    /// Writes one timestamp as RFC 3339.
    package mutating func writeTimestamp(_ timestamp: UnixTimestamp) {
        var writer = TimestampWriter()
        writer.write(timestamp, to: &self)
    }
}

/// Writes timestamps as RFC 3339 in UTC with milliseconds. Of those in one second, all but the milliseconds is made
/// once.
struct TimestampWriter {
    private var second: Int?
    /// Up to the point before the milliseconds: `2026-11-24T05:13:12.`
    private var prefix = ByteBuffer()

    mutating func write(_ timestamp: UnixTimestamp, to buffer: inout ByteBuffer) {
        if timestamp.seconds != second { start(timestamp.seconds) }
        buffer.writeImmutableBuffer(prefix)
        Self.writePadded(timestamp.nanoseconds / 1_000_000, digits: 3, to: &buffer)
        buffer.writeInteger(UInt8(ascii: "Z"))
    }

    private mutating func start(_ second: Int) {
        self.second = second
        var time = time_t(second)
        var parts = tm()
        gmtime_r(&time, &parts)
        prefix.clear()
        Self.writePadded(Int(parts.tm_year) + 1900, digits: 4, to: &prefix)
        for (mark, part) in [
            ("-", parts.tm_mon + 1), ("-", parts.tm_mday), ("T", parts.tm_hour), (":", parts.tm_min),
            (":", parts.tm_sec),
        ] {
            prefix.writeString(mark)
            Self.writePadded(Int(part), digits: 2, to: &prefix)
        }
        prefix.writeStaticString(".")
    }

    static func writePadded(_ value: Int, digits: Int, to buffer: inout ByteBuffer) {
        var limit = 1
        for _ in 1..<digits { limit *= 10 }
        while limit > 1 && value < limit {
            buffer.writeInteger(UInt8(ascii: "0"))
            limit /= 10
        }
        buffer.writeDecimal(value)
    }
}
