import CBuild
import Glibc

/// Process-wide settings.
enum ThisProcess {
    // MARK: Memory

    /// Keeps the process's memory, which holds tokens, keys and messages, out of core dumps and unreadable to other
    /// processes of the same user.
    static func hideMemory() {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        skillgate_hide_memory()
    }

    /// Releases memory that only the start needed: the pages of code and constants that were mapped for reading the
    /// configuration, registering types and fetching the first tokens, more than half of an idle gateway's resident memory.
    ///
    /// Pages that are used again are mapped from the page cache during the next few messages.
    static func forgetStart() { skillgate_forget_code_pages() }

    /// Disables the runtime's exclusivity checks (overlapping accesses to one variable) in release builds.
    ///
    /// Our own targets are compiled without them in release; this disables them in dependencies, too, where they took about
    /// 3 % of a message's CPU. Debug builds keep them.
    static func disableExclusivityChecksInRelease() {
        #if !DEBUG
            skillgate_disable_exclusivity_checking()
        #endif
    }

    // MARK: Name

    /// Of the machine or container; empty if it has none.
    static let hostName: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    }()

    // MARK: Open files

    /// Raises the soft limit of open files, often low by default, to the hard limit: every connection is a file.
    static func raiseFileLimit() {
        guard var limit = fileLimits, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(fileResource, &limit)
    }

    /// The most connections that callers may open: half of the available files. The rest is reserved for regions, Redis, the
    /// token endpoint, logs and the admin listener.
    static var connectionsForCallers: Int { max(8, availableFiles / 2) }

    static var connectionsForAdmin: Int { max(4, availableFiles / 8) }

    /// The file limit less what the process keeps open from its start.
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
