extension Int {
    /// The number that `text` writes in ASCII digits and nothing else: `Int.init` accepts a sign, too.
    ///
    /// - Parameter leadingZeros: whether there may be any.
    package init?(digits text: some StringProtocol, leadingZeros: Bool = true) {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard leadingZeros || text.utf8.count == 1 || text.utf8.first != UInt8(ascii: "0") else { return nil }
        self.init(text)
    }
}
