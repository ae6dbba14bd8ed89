import GatewayCore

/// Rates that count over all replicas, each question answered by the server in one step. Times are in microseconds.
///
/// The server's own clock counts; where an ACL does not allow it, that of the replica which asks.
enum RateScripts {
    private static let now = """
        local now, time = tonumber(ARGV[1]), redis.pcall('TIME')
        if not time.err then now = time[1] * 1000000 + time[2] end
        """

    /// The generic cell rate algorithm, for many at once. What is granted is all of a lease as soon as one may come; those who ask later wait
    /// for all of it. Where none may come yet, the lease is reserved: each replica has its turn, and none has to ask again and again.
    ///
    /// KEYS: the theoretical arrival time of the next request, and when it was set. ARGV: Unix time, requests a second, burst, permits wanted,
    /// permits of a lease, `1` if requests may have come that are not counted here.
    /// Returns permits, the time until they may be used, and the theoretical arrival time from now on.
    static let lease = RedisScript(
        """
        \(now)
        local interval, wanted, lease = 1000000 / ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
        local tolerance = interval * (ARGV[3] - 1)
        local at, set = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+%.?%d*) (%d+)$')
        at, set = tonumber(at or now), tonumber(set or now)
        -- The clock has been put back, or is that of another master.
        if now < set then at = at - (set - now) end
        if ARGV[6] == '1' then at = math.max(at, now + tolerance + interval) end
        local wait = math.max(0, at - tolerance - now)
        local permits = math.min(wanted, lease)
        if wait == 0 then permits = math.min(wanted, math.max(lease, math.floor((tolerance + now - at) / interval) + 1)) end
        at = math.max(at, now) + permits * interval
        local ahead = at - now
        redis.call('SET', KEYS[1], string.format('%.3f %.0f', at, now), 'PX', math.ceil(ahead / 1000) + 1000)
        return {permits, math.ceil(wait), math.ceil(ahead)}
        """)

    static func arguments(_ request: PermitRequest, unixMicroseconds: Int) -> [String] {
        [
            unixMicroseconds, request.limit.perSecond, request.limit.burst, request.wanted, request.permitsOfLease,
            request.wasAway ? 1 : 0,
        ].map(String.init)
    }

    /// KEYS: when each replica has been here last. ARGV: Unix time, the replica, how long it counts.
    /// Returns how many there are.
    static let replicas = RedisScript(
        """
        \(now)
        redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2])
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[3]))
        redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[3] / 1000))
        return redis.call('ZCARD', KEYS[1])
        """)
}
