package import NIOCore

/// An answer to a person or a tool of the operator's, not to a caller: what the admin server shows.
package struct Page: Equatable, Sendable {
    package var status: Int
    package var contentType: String
    package var content: ByteBuffer
    /// Further fields, whole lines with their CR LF.
    package var fieldLines: StaticString = ""

    package init(status: Int = 200, contentType: String, content: ByteBuffer) {
        self.status = status
        self.contentType = contentType
        self.content = content
    }
}

extension Page {
    package static func == (one: Page, other: Page) -> Bool {
        one.status == other.status && one.contentType == other.contentType && one.content == other.content
            && one.fieldLines.description == other.fieldLines.description
    }
}
