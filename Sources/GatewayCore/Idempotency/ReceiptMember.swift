import NIOCore

/// The place in a message where its receipt's id goes: a member of `data` of the gateway's own.
struct ReceiptMember {
    private let name: String
    /// Of the closing brace of `data`.
    private let offset: Int
    private let isFirst: Bool
    /// For so long Amazon tries to deliver the message.
    let expiry: TimeAmount

    /// - Parameters:
    ///   - name: made of characters that JSON strings hold as they are.
    ///   - content: a message that `MessageValidator` has accepted.
    ///   - layout: as it says.
    /// - Throws: if the message has such a member, or no room for it.
    init(_ name: String, in content: ByteBuffer, _ layout: MessageValidator.Layout) throws(MessageError) {
        let bytes = content.readableBytesUInt8Span
        guard try !JSONMembers.has(name, in: bytes, layout.data) else { throw .memberReserved(name) }
        self.name = name
        expiry = .seconds(Int64(layout.expirySecondsOrDefault))
        offset = layout.data.upperBound - 1
        isFirst = JSONScanner.skipWhitespace(bytes, from: layout.data.lowerBound + 1) == offset
        let dataBytes = layout.dataBytes
        let added = name.utf8.count + ReceiptIDs.characters + (isFirst ? 5 : 6)
        guard dataBytes + added <= MessageRules.dataLimitBytes else {
            throw .dataTooLargeForReceipt(bytes: dataBytes, limit: MessageRules.dataLimitBytes - added)
        }
    }

    /// Writes the message with its receipt's id.
    ///
    /// - Parameters:
    ///   - buffer: is emptied first; its memory is used again.
    ///   - writeID: writes the id.
    func write(_ original: ByteBuffer, to buffer: inout ByteBuffer, id writeID: (inout ByteBuffer) -> Void) {
        buffer.clear(minimumCapacity: original.readableBytes + name.utf8.count + ReceiptIDs.characters + 6)
        let bytes = original.readableBytesView
        buffer.writeBytes(bytes.prefix(offset))
        buffer.writeStaticString(isFirst ? "\"" : ",\"")
        buffer.writeString(name)
        buffer.writeStaticString("\":\"")
        writeID(&buffer)
        buffer.writeStaticString("\"")
        buffer.writeBytes(bytes.dropFirst(offset))
    }
}
