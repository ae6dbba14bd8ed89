import Glibc

/// The soft limit of open files that a shell or a container runtime gives is made for programs with few; every
/// connection is one.
enum FileLimit {
    /// Raises the soft limit to the hard one.
    static func raise() {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
    }
}
