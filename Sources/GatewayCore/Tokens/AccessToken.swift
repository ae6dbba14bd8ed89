package import NIOCore

/// Amazon's access token for one skill, ready to be written into a request. It never leaves towards a caller.
package struct AccessToken: Equatable, Sendable {
    /// The whole field line, `Authorization: Bearer …` and CR LF.
    package let fieldLine: ByteBuffer
    /// `Bearer …` alone.
    package var fieldValue: ByteBuffer {
        let name = "Authorization: ".utf8.count
        return fieldLine.getSlice(at: fieldLine.readerIndex + name, length: fieldLine.readableBytes - name - 2)
            ?? fieldLine
    }
    /// Counts the tokens of one cache, and is no other's: tells whether a refused token is still the current one.
    package let generation: UInt64
    /// Not used from here on, a margin before Amazon stops taking it.
    package let expires: NIODeadline

    package init(_ value: String, generation: UInt64, expires: NIODeadline) {
        fieldLine = ByteBuffer(string: "Authorization: Bearer \(value)\r\n")
        self.generation = generation
        self.expires = expires
    }
}

extension AccessToken: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "AccessToken(generation: \(generation))" }
    package var debugDescription: String { description }
}
