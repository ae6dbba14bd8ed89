import CBuild
import Glibc

/// What is set for the process as a whole.
enum ThisProcess {
    // MARK: Memory

    /// From here on neither a core dump nor another process of the same user shows its memory, which holds secrets: tokens,
    /// keys and messages.
    static func hideMemory() {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        skillgate_hide_memory()
    }

    /// Gives back the memory that only the start needed: the pages of code and constants that were mapped for reading the
    /// configuration, registering types and fetching the first tokens, more than half of an idle gateway's resident memory.
    ///
    /// What is used again is mapped again from the page cache, in the next few messages.
    static func forgetStart() { skillgate_forget_code_pages() }

    /// Ends the runtime's checks for overlapping accesses to one variable.
    ///
    /// Debug builds and their tests make these checks. In release our own targets are built without them; this ends
    /// them in the packages we depend on, where they were one thirtieth of a message's cost.
    static func disableExclusivityChecksInRelease() {
        #if !DEBUG
            skillgate_disable_exclusivity_checking()
        #endif
    }

    // MARK: Open files

    /// Raises the soft limit of open files, which a shell or a container runtime gives to programs with few, to the hard
    /// one: every connection is a file.
    static func raiseFileLimit() {
        guard var limit = fileLimits, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(fileResource, &limit)
    }

    /// Connections of callers, at most: half of what there is. The rest is for regions, Redis, token endpoint, logs and the admin
    /// listener, which callers must not be able to take.
    static var connectionsForCallers: Int { max(8, availableFiles / 2) }

    static var connectionsForAdmin: Int { max(4, availableFiles / 8) }

    /// Without what the process has open from its start on.
    private static var availableFiles: Int {
        guard let limit = fileLimits?.rlim_cur else { return 1024 }
        return max(0, Int(clamping: limit) - 48)
    }

    private static let fileResource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    private static var fileLimits: rlimit? {
        var limit = rlimit()
        return getrlimit(fileResource, &limit) == 0 ? limit : nil
    }
}
