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
    ///   - dataBytes: of `data`, as compact JSON.
    /// - Throws: if the message has such a member, or no room for it.
    init(_ name: String, in content: ByteBuffer, dataBytes: Int) throws(MessageError) {
        let bytes = content.readableBytesUInt8Span
        guard let data = try JSONMembers.value(at: ["data"], in: bytes) else { throw .dataMissing }
        let members = try JSONMembers.all(of: bytes.extracting(data))
        guard !members.contains(where: { $0.name == name }) else { throw .memberReserved(name) }
        self.name = name
        let expiry = try JSONMembers.value(at: ["expiresAfterSeconds"], in: bytes).flatMap { bytes.decimal($0) }
        self.expiry = .seconds(Int64(expiry ?? MessageRules.defaultExpirySeconds))
        offset = data.upperBound - 1
        isFirst = members.isEmpty
        let added = name.utf8.count + ReceiptIDs.characters + (isFirst ? 5 : 6)
        guard dataBytes + added <= MessageRules.dataLimitBytes else {
            throw .dataTooLargeForReceipt(bytes: dataBytes, limit: MessageRules.dataLimitBytes - added)
        }
    }

    /// The message with its receipt's id.
    func content(_ original: ByteBuffer, with id: String) -> ByteBuffer {
        var content = ByteBuffer()
        content.reserveCapacity(original.readableBytes + name.utf8.count + id.utf8.count + 6)
        let start = original.readerIndex
        if let head = original.getSlice(at: start, length: offset) { content.writeImmutableBuffer(head) }
        if !isFirst { content.writeStaticString(",") }
        content.writeStaticString("\"")
        content.writeString(name)
        content.writeStaticString("\":\"")
        content.writeString(id)
        content.writeStaticString("\"")
        if let tail = original.getSlice(at: start + offset, length: original.readableBytes - offset) {
            content.writeImmutableBuffer(tail)
        }
        return content
    }
}
