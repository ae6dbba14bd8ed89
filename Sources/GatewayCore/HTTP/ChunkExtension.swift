/// `BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ]` (RFC 9112 section 7.1.1). What extensions say is ignored; what does not
/// follow their grammar may be something else to another reader.
enum ChunkExtension {
    /// Where the one that starts at `start` ends; nil if there is none.
    static func end(of bytes: Span<UInt8>, from start: Int) -> Int? {
        var index = skipBlanks(bytes, start)
        guard index < bytes.count, bytes[index] == UInt8(ascii: ";") else { return nil }
        guard let name = endOfToken(bytes, skipBlanks(bytes, index + 1)) else { return nil }
        index = skipBlanks(bytes, name)
        guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else { return name }
        index = skipBlanks(bytes, index + 1)
        return endOfQuotedString(bytes, index) ?? endOfToken(bytes, index)
    }

    private static func skipBlanks(_ bytes: Span<UInt8>, _ start: Int) -> Int {
        var index = start
        while index < bytes.count && isBlank(bytes[index]) { index += 1 }
        return index
    }

    private static func endOfToken(_ bytes: Span<UInt8>, _ start: Int) -> Int? {
        var index = start
        while index < bytes.count && isTokenCharacter(bytes[index]) { index += 1 }
        return index > start ? index : nil
    }

    /// RFC 9110 section 5.6.4.
    private static func endOfQuotedString(_ bytes: Span<UInt8>, _ start: Int) -> Int? {
        guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else { return nil }
        var index = start + 1
        while index < bytes.count {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "\t") || (byte >= 0x20 && byte != 0x7F) else { return nil }
            index += 1
            if byte == UInt8(ascii: "\"") { return index }
            guard byte == UInt8(ascii: "\\") else { continue }
            guard index < bytes.count,
                bytes[index] == UInt8(ascii: "\t") || (bytes[index] >= 0x20 && bytes[index] != 0x7F)
            else { return nil }
            index += 1
        }
        return nil
    }
}
