/// The numbers of the streams of one connection, by their places in an array that its owner keeps. There are few at once, so that looking
/// through the numbers is the fastest way to find one.
///
/// The array is the owner's: one of any kind of stream, used from another module, would be handled by what is known of it only at run time.
package struct HTTP2StreamNumbers {
    /// By place; 0 where there is none.
    private var numbers: [UInt32] = []
    package private(set) var count = 0

    package init() {}

    /// 0 where there is none.
    package func number(at place: Int) -> UInt32 { numbers[place] }

    package func place(of number: UInt32) -> Int? {
        number == 0 ? nil : numbers.firstIndex(of: number)
    }

    /// Returns the place of a new stream: that of one that has ended, or one behind all others.
    package mutating func insert(_ number: UInt32) -> Int {
        count += 1
        guard let place = numbers.firstIndex(of: 0) else {
            numbers.append(number)
            return numbers.count - 1
        }
        numbers[place] = number
        return place
    }

    package mutating func remove(at place: Int) {
        guard numbers[place] != 0 else { return }
        numbers[place] = 0
        count -= 1
    }
}
