/// The streams of one connection. There are few at once, so that looking through their numbers is the fastest way to find one.
struct HTTP2Streams<Stream> {
    /// By place; 0 where there is none.
    private var numbers: [UInt32] = []
    private var streams: [Stream?] = []
    private(set) var count = 0

    init() {}

    /// All there have been at once; a place may be empty.
    var places: Range<Int> { streams.indices }

    /// Nil for the place of a stream that has ended.
    subscript(place: Int) -> Stream? {
        get { streams[place] }
        _modify { yield &streams[place] }
    }

    /// 0 where there is none.
    func number(at place: Int) -> UInt32 { numbers[place] }

    func place(of number: UInt32) -> Int? {
        number == 0 ? nil : numbers.firstIndex(of: number)
    }

    mutating func insert(_ stream: Stream, number: UInt32) {
        count += 1
        guard let place = numbers.firstIndex(of: 0) else {
            numbers.append(number)
            streams.append(stream)
            return
        }
        numbers[place] = number
        streams[place] = stream
    }

    mutating func remove(at place: Int) -> Stream? {
        guard let stream = streams[place].take() else { return nil }
        numbers[place] = 0
        count -= 1
        return stream
    }
}
