package import GatewayCore
import NIOCore

/// Puts replicas' reports up in Redis: a hash for each skill and region, with a field for each replica.
package final class RedisQuotaBoard: QuotaBoard {
    /// A replica that was not heard of for so long wants nothing any more.
    private static let lifetime = Duration.seconds(2)

    /// More replicas than that are none.
    private static let maximumReports = 1000

    private let client: NIOLoopBound<RedisClient>
    private let keys: RecordKeys
    private let replica: String

    /// To be called on the client's event loop.
    ///
    /// - Parameter replica: tells this process from all others.
    package init(_ client: RedisClient, replica: String) {
        keys = client.keys
        self.client = NIOLoopBound(client, eventLoop: client.eventLoop)
        self.replica = replica
    }

    package func exchange(
        _ report: QuotaReport, of skill: String, in region: Region, _ then: @escaping @Sendable ([QuotaReport]?) -> Void
    ) {
        let command = Self.command(report, keys.quota(of: skill, in: region), replica)
        client.run(command) { reply in
            guard case .array(let reports)? = try? reply.get() else { return then(nil) }
            then(reports.prefix(Self.maximumReports).compactMap { $0.text.flatMap(QuotaReport.init) })
        }
    }

    /// Tries it on a key of its own. Calls `then` once, on the client's event loop, with whether the server lets it.
    package static func tryOut(_ client: RedisClient, _ then: @escaping @Sendable (Bool) -> Void) {
        let report = QuotaReport()
        client.run(command(report, client.keys.replicas + ":trial:quota", "trial")) { reply in
            if case .success(.array) = reply { then(true) } else { then(false) }
        }
    }

    private static func command(_ report: QuotaReport, _ key: String, _ replica: String) -> RedisCommand {
        let lifetime = String(lifetime.inMilliseconds * 1000)
        return .script(script, key: key, arguments: [replica, report.text, lifetime])
    }

    /// KEYS: the reports, each behind the time when it was put up. ARGV: the replica, its report, and how long one counts.
    /// Returns those of the others.
    private static let script = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
        redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[3] / 1000))
        local reports, others = redis.call('HGETALL', KEYS[1]), {}
        for i = 1, #reports, 2 do
            local at, report = string.match(reports[i + 1], '^(%d+) (.*)$')
            if not at or math.abs(now - at) > tonumber(ARGV[3]) then
                redis.call('HDEL', KEYS[1], reports[i])
            elseif reports[i] ~= ARGV[1] then
                others[#others + 1] = report
            end
        end
        return others
        """)
}
