import Glibc

/// A core dump would hold tokens, keys and messages.
enum CoreDumps {
    /// For this process, from here on.
    static func disable() {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    }
}
