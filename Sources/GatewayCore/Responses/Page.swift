public import NIOCore

/// An answer to a person or a tool of the operator's, not to a caller: what the admin server shows.
public struct Page: Equatable, Sendable {
    public var status: Int
    public var contentType: String
    public var content: ByteBuffer
    /// Further fields, whole lines with their CR LF.
    public var fieldLines: StaticString = ""

    public init(status: Int = 200, contentType: String, content: ByteBuffer) {
        self.status = status
        self.contentType = contentType
        self.content = content
    }
}

extension Page {
    public static func == (one: Page, other: Page) -> Bool {
        one.status == other.status && one.contentType == other.contentType && one.content == other.content
            && one.fieldLines.description == other.fieldLines.description
    }
}
