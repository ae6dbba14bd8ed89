import NIOCore

/// What would become of a message that is only to be validated (`Gateway-Validate-Only`).
package struct MessageValidation: Equatable, Sendable {
    package struct Key: Equatable, Sendable {
        var key: IdempotencyKey
        var source: IdempotencyKeySource.Label
        /// Nil: the store cannot be reached.
        var state: KeyReport.State?
    }

    var skill: String
    var region: Region
    var certainty: RegionCertainty
    /// Of `data`, as compact JSON.
    var dataBytes: Int
    var key: Key?

    func writeJSON(to content: inout ByteBuffer) {
        content.writeStaticString("{\"valid\":true,\"skill\":")
        JSONText.writeString(skill, to: &content)
        content.writeString(
            ",\"region\":\"\(region.name)\",\"regionFrom\":\"\(certainty.rawValue)\",\"dataBytes\":\(dataBytes)")
        if let key {
            content.writeStaticString(",\"idempotencyKey\":{\"key\":")
            JSONText.writeString(String(buffer: key.key.characters), to: &content)
            content.writeString(
                ",\"from\":\"\(key.source.rawValue)\",\"state\":\(key.state.map { "\"\($0.name)\"" } ?? "null")")
            content.writeStaticString("}")
        }
        content.writeStaticString("}")
    }
}
