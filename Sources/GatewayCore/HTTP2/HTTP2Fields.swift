/// The fields of one header block, as they were decoded. Emptied and used again, so that blocks allocate nothing.
package struct HTTP2Fields {
    package typealias Field = (name: Range<Int>, value: Range<Int>)

    /// Names and values, one behind the other.
    package internal(set) var bytes: [UInt8] = []
    /// In their order: where each stands in `bytes`.
    package internal(set) var fields: [Field] = []
    /// There were more than the limit allows. Those within it are here.
    package internal(set) var isTooLarge = false

    package init() {}

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        isTooLarge = false
    }
}
