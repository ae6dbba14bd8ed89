/// The streams of one connection. There are few at once, so that looking through their numbers is the fastest way to find one.
package struct HTTP2Streams<Stream> {
    /// By place; 0 where there is none.
    @usableFromInline var numbers: [UInt32] = []
    @usableFromInline var streams: [Stream?] = []
    @usableFromInline var streamCount = 0

    @inlinable
    package init() {}

    @inlinable
    package var count: Int { streamCount }

    /// All there have been at once; a place may be empty.
    @inlinable
    package var places: Range<Int> { streams.indices }

    /// Nil for the place of a stream that has ended.
    @inlinable
    package subscript(place: Int) -> Stream? {
        get { streams[place] }
        _modify { yield &streams[place] }
    }

    /// 0 where there is none.
    @inlinable
    package func number(at place: Int) -> UInt32 { numbers[place] }

    @inlinable
    package func place(of number: UInt32) -> Int? {
        number == 0 ? nil : numbers.firstIndex(of: number)
    }

    @inlinable
    package mutating func insert(_ stream: Stream, number: UInt32) {
        streamCount += 1
        guard let place = numbers.firstIndex(of: 0) else {
            numbers.append(number)
            streams.append(stream)
            return
        }
        numbers[place] = number
        streams[place] = stream
    }

    @inlinable
    package mutating func remove(at place: Int) -> Stream? {
        guard let stream = streams[place].take() else { return nil }
        numbers[place] = 0
        streamCount -= 1
        return stream
    }
}
