import CBuild

/// The runtime's checks for overlapping accesses to one variable.
enum ExclusivityChecks {
    /// Debug builds and their tests make these checks. In release our own targets are built without them; this ends
    /// them in the packages we depend on, where they were one thirtieth of a message's cost.
    static func disableInRelease() {
        #if !DEBUG
            skillgate_disable_exclusivity_checking()
        #endif
    }
}
