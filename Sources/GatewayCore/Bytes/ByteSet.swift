/// A set of ASCII characters, one bit per character: a lookup takes the same few instructions for every set.
struct ByteSet {
    /// 0x00 to 0x3F.
    let low: UInt64
    /// 0x40 to 0x7F.
    let high: UInt64

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        byte < 0x80 && (byte < 0x40 ? low : high) &>> UInt64(byte & 0x3F) & 1 == 1
    }
}

/// RFC 9110 section 5.6.2, `tchar`.
@inline(__always)
func isTokenCharacter(_ byte: UInt8) -> Bool {
    // A bit for each: `!#$%&'*+-.` and digits; letters and ``^_`|~``.
    ByteSet(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE).contains(byte)
}
