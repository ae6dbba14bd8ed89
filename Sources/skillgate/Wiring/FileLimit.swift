import Glibc

/// How many files the process may have open; every connection is one.
enum FileLimit {
    /// Raises the soft limit, which a shell or a container runtime gives to programs with few files, to the hard one.
    static func raise() {
        guard var limit = limits, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
    }

    /// Connections of callers, at most: half of what there is. The rest is for regions, Redis, token endpoint, logs and the admin
    /// listener, which callers must not be able to take.
    static var forCallers: Int { max(8, available / 2) }

    static var forAdmin: Int { max(4, available / 8) }

    /// Without what the process has open from its start on.
    private static var available: Int {
        guard let limit = limits?.rlim_cur else { return 1024 }
        return max(0, Int(clamping: limit) - 48)
    }

    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    private static var limits: rlimit? {
        var limit = rlimit()
        return getrlimit(resource, &limit) == 0 ? limit : nil
    }
}
