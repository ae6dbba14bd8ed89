/// What a build for measurements leaves out, to show what it costs: `SKILLGATE_WITHOUT=metrics swift build …`. Every
/// other build leaves out nothing.
enum BenchmarkOmissions {
    #if SKILLGATE_WITHOUT_METRICS
        static let metrics = true
    #else
        static let metrics = false
    #endif

    #if SKILLGATE_WITHOUT_VALIDATION
        static let validation = true
    #else
        static let validation = false
    #endif
}
