/// Decodes the header blocks of one connection, in their order (RFC 7541).
package struct HPACKReader {
    /// The largest table that the peer may use: the default of `SETTINGS_HEADER_TABLE_SIZE`.
    private static let tableLimit = 4096

    private let staticTable = HPACKStaticTable.shared
    private var table = HPACKDynamicTable(limit: tableLimit)
    private var memory = HuffmanMemory()
    /// Of a list of fields, each counted as in the table (RFC 9113 section 6.5.2, `SETTINGS_MAX_HEADER_LIST_SIZE`).
    private let listLimit: Int
    /// What a block may become. Beyond the limit it is decoded only for what it does to the table; and a few bytes may name large entries
    /// again and again.
    private let sizeLimit: Int
    private let fieldLimit: Int

    /// By index in the static table: names that somebody looks for. A field of another of them is passed over.
    private let wanted: UInt64

    /// - Parameter wanted: names; nil for all.
    package init(listLimit: Int, fieldLimit: Int, wanted: [String]? = nil) {
        // Several fields of the table have one name, and a peer may refer to it by any of them.
        self.wanted = wanted.map { HPACKStaticTable.indices(named: Set($0)) } ?? .max
        self.listLimit = listLimit
        sizeLimit = max(16 * listLimit, 64 << 10)
        self.fieldLimit = fieldLimit
    }

    /// - Parameter fields: is emptied first. Fields beyond the limit are left out, and decoded all the same: the blocks that
    ///   follow depend on them.
    package mutating func decode(_ block: Span<UInt8>, into fields: inout HTTP2Fields) throws(HTTP2Error) {
        fields.removeAll()
        memory.startBlock()
        var size = 0
        var index = 0
        while index < block.count {
            let first = block[index]
            let start = fields.bytes.count
            let field: HTTP2Fields.Field
            if first & 0x80 != 0 {
                field = try copy(try Self.integer(block, &index, bits: 7), to: &fields.bytes)
            } else if first & 0xC0 == 0x40 {
                let place = try Self.integer(block, &index, bits: 6)
                guard isWanted(place) else {
                    size += try remember(block, &index, named: place)
                    if size > listLimit { fields.isTooLarge = true }
                    continue
                }
                field = try literal(block, &index, named: place, to: &fields.bytes)
                table.insert(fields.bytes, name: field.name, value: field.value)
            } else if first & 0xE0 == 0x20 {
                let limit = try Self.integer(block, &index, bits: 5)
                guard size == 0, limit <= Self.tableLimit else {
                    throw Self.error("the table is resized behind a field, or beyond \(Self.tableLimit) bytes")
                }
                table.resize(to: limit)
                continue
            } else {
                let place = try Self.integer(block, &index, bits: 4)
                guard isWanted(place) else {
                    size += try Self.extent(block, &index).count + HPACKDynamicTable.overheadBytes
                    continue
                }
                field = try literal(block, &index, named: place, to: &fields.bytes)
            }
            guard size <= sizeLimit else {
                throw HTTP2Error(.enhanceYourCalm, "a header block becomes more than \(sizeLimit) bytes of fields")
            }
            size += field.name.count + field.value.count + HPACKDynamicTable.overheadBytes
            if size > listLimit || fields.fields.count >= fieldLimit {
                fields.isTooLarge = true
                fields.bytes.removeSubrange(start...)
            } else {
                fields.fields.append(field)
            }
        }
    }

    /// Whether somebody may look for a field of the name at an index.
    private func isWanted(_ place: Int) -> Bool {
        place == 0 || place > HPACKStaticTable.count || wanted & 1 << UInt64(place) != 0
    }

    /// Decodes a field that nobody looks for, for what it does to the table.
    ///
    /// - Parameter place: of its name, in the static table.
    /// - Returns: its size.
    private mutating func remember(
        _ block: Span<UInt8>, _ index: inout Int, named place: Int
    ) throws(HTTP2Error) -> Int {
        let name = staticTable.ranges[place - 1].name
        Self.append(staticTable.bytes, name, to: &table.bytes)
        let value = try Self.string(block, &index, &memory, to: &table.bytes)
        table.insertLast(name: name.count, value: value.count)
        return name.count + value.count + HPACKDynamicTable.overheadBytes
    }

    /// Copies an entry of the tables.
    ///
    /// - Parameter nameOnly: its value is not meant.
    private func copy(
        _ index: Int, nameOnly: Bool = false, to bytes: inout [UInt8]
    ) throws(HTTP2Error) -> HTTP2Fields.Field {
        let start = bytes.count
        let (name, value): HTTP2Fields.Field
        // In either table, a name and its value stand one behind the other.
        if index > 0 && index <= HPACKStaticTable.count {
            (name, value) = staticTable.ranges[index - 1]
            Self.append(staticTable.bytes, name.lowerBound..<(nameOnly ? name : value).upperBound, to: &bytes)
        } else if let entry = table[index - HPACKStaticTable.count - 1] {
            (name, value) = entry
            Self.append(table.bytes, name.lowerBound..<(nameOnly ? name : value).upperBound, to: &bytes)
        } else {
            throw Self.error("index \(index) is not in the tables")
        }
        return (start..<start + name.count, start + name.count..<bytes.count)
    }

    /// Without a slice, which would be counted as another owner of the array.
    private static func append(_ source: [UInt8], _ range: Range<Int>, to bytes: inout [UInt8]) {
        source.span.extracting(range).withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    }

    private mutating func literal(
        _ block: Span<UInt8>, _ index: inout Int, named place: Int, to bytes: inout [UInt8]
    ) throws(HTTP2Error) -> HTTP2Fields.Field {
        let name =
            place == 0
            ? try Self.string(block, &index, &memory, to: &bytes) : try copy(place, nameOnly: true, to: &bytes).name
        return (name, try Self.string(block, &index, &memory, to: &bytes))
    }

    /// Passes over a string, as it is written.
    private static func extent(_ block: Span<UInt8>, _ index: inout Int) throws(HTTP2Error) -> Range<Int> {
        guard index < block.count else { throw error("it ends within a field") }
        let length = try integer(block, &index, bits: 7)
        guard length <= block.count - index else { throw error("it ends within a field") }
        index += length
        return index - length..<index
    }

    /// RFC 7541 section 5.2.
    private static func string(
        _ block: Span<UInt8>, _ index: inout Int, _ memory: inout HuffmanMemory, to bytes: inout [UInt8]
    ) throws(HTTP2Error) -> Range<Int> {
        let first = index
        let range = try extent(block, &index)
        let isHuffman = block[first] & 0x80 != 0
        let start = bytes.count
        if isHuffman {
            guard memory.decode(block, range, to: &bytes) else {
                throw error("a string is no Huffman code")
            }
        } else {
            block.extracting(range).withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
        }
        return start..<bytes.count
    }

    /// RFC 7541 section 5.1. Larger ones than any that can be meant are an error.
    private static func integer(_ block: Span<UInt8>, _ index: inout Int, bits: Int) throws(HTTP2Error) -> Int {
        let mask = 1 << bits - 1
        var value = Int(block[index]) & mask
        index += 1
        guard value == mask else { return value }
        for shift in stride(from: 0, through: 21, by: 7) {
            guard index < block.count else { throw error("it ends within a number") }
            let byte = block[index]
            index += 1
            value += Int(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw error("a number has more than 4 bytes behind its first")
    }

    private static func error(_ detail: String) -> HTTP2Error {
        HTTP2Error(.compressionError, "the header block cannot be decoded: \(detail)")
    }
}
