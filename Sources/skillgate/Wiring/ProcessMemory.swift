import CBuild
import Glibc

/// The memory of a process that has read secrets: tokens, keys and messages.
enum ProcessMemory {
    /// From here on neither a core dump nor another process of the same user shows it.
    static func hide() {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        skillgate_hide_memory()
    }
}
