package import GatewayCore
import Glibc

extension ProcessStatistics {
    /// Reads `/proc/self` (proc(5)); nil where there is none.
    package static func current() -> ProcessStatistics? {
        guard let stat = contents(of: "/proc/self/stat"), let bootTime = bootTime(),
            let commandEnd = stat.lastIndex(of: ")")
        else { return nil }
        // Behind the command name, which may hold anything: state is field 3, utime 14, stime 15, starttime 22,
        // vsize 23, rss 24.
        let fields = stat[stat.index(after: commandEnd)...].split(separator: " ")
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let start = Double(fields[19]), let virtual = Int(fields[20]), let pages = Int(fields[21])
        else { return nil }
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        var limit = rlimit()
        let hasLimit = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        return ProcessStatistics(
            cpuSeconds: (user + system) / ticks,
            residentBytes: pages * sysconf(Int32(_SC_PAGESIZE)),
            virtualBytes: virtual,
            openFiles: openFileCount(),
            maximumFiles: hasLimit ? Int(clamping: limit.rlim_cur) : 0,
            startedAt: bootTime + start / ticks
        )
    }

    private static func bootTime() -> Double? {
        guard let stat = contents(of: "/proc/stat") else { return nil }
        for line in stat.split(separator: "\n") where line.hasPrefix("btime ") { return Double(line.dropFirst(6)) }
        return nil
    }

    private static func openFileCount() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return max(0, count - 3)  // `.`, `..` and the descriptor that reads them
    }

    /// Files of `/proc` have no size to ask for.
    private static func contents(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while case let count = read(descriptor, &chunk, chunk.count), count > 0 { bytes += chunk[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
