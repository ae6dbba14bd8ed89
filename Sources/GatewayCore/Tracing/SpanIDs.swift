/// Makes ids of spans (SplitMix64 of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): they have to be
/// unique, and nobody's secret.
struct SpanIDs {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    /// Never zero.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        mixed ^= mixed >> 31
        return mixed == 0 ? 1 : mixed
    }
}
