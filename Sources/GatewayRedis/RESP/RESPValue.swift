import NIOCore

/// One reply of a Redis server, of either protocol version (RESP2, RESP3), told apart only where it matters to us.
enum RESPValue: Equatable {
    /// Simple, bulk and verbatim strings; doubles and big numbers as they came.
    case string(ByteBuffer)
    /// Claims with a word in capitals that says which, such as `MOVED` or `ERR`.
    case error(String)
    case integer(Int)
    case boolean(Bool)
    case null
    /// Arrays and sets; maps with their names and values in turn.
    case array([RESPValue])
    /// Not the reply to anything.
    case push([RESPValue])

    /// The text of a string, nil for anything else. For what people wrote; records are read as bytes.
    var text: String? {
        if case .string(let bytes) = self { String(buffer: bytes) } else { nil }
    }

    /// The value of `name` in what was a map, or in RESP2 an array of names and values.
    func member(_ name: String) -> RESPValue? {
        guard case .array(let elements) = self else { return nil }
        for index in stride(from: 0, to: elements.count - 1, by: 2) where elements[index].text == name {
            return elements[index + 1]
        }
        return nil
    }
}
