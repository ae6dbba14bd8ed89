extension StringProtocol {
    /// Whether each character is visible ASCII, as in a field value without spaces; so it is for empty text.
    package var isVisibleASCII: Bool { utf8.allSatisfy { (0x21...0x7E).contains($0) } }
}
