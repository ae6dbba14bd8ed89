import GatewayCore

/// Rates that count over all replicas, each question answered by the server in one step. Times are in microseconds.
///
/// The server's own clock counts.
enum RateScripts {
    static let clock = "redis.call('TIME')"
    private static let now = """
        local time = \(clock)
        local now = time[1] * 1000000 + time[2]
        """

    /// The generic cell rate algorithm, for many at once. What is granted is all of a lease as soon as one may come; those who ask later wait
    /// for all of it. Where none may come yet, the lease is reserved: each replica has its turn, and none has to ask again and again.
    ///
    /// KEYS: the theoretical arrival time of the next request, when it was set, and under which rate and burst. ARGV: requests a second, burst,
    /// permits wanted, permits of a lease, and the requests that came while they could not be counted.
    /// Returns permits, the time until they may be used, and the theoretical arrival time from now on.
    static let lease = RedisScript(
        """
        \(now)
        local interval, wanted, lease = 1000000 / ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
        local tolerance = interval * (ARGV[2] - 1)
        local limit = ARGV[1] .. ' ' .. ARGV[2]
        local at, set, old = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+%.?%d*) (%d+) (.*)$')
        at, set = tonumber(at or now), tonumber(set or now)
        -- The clock has been put back, or is that of another master.
        if now < set then at = at - (set - now) end
        -- Under another limit than before all of it is used up at most. Otherwise no turns reach as far; whoever wrote that was no gateway.
        local farthest = now + tolerance + interval * (old == limit and lease * 10000 or 1)
        at = math.min(math.max(at, now), farthest)
        -- Those of all replicas together use up no more than the burst.
        at = math.max(at, math.min(at + ARGV[5] * interval, now + tolerance + interval))
        local wait = math.max(0, at - tolerance - now)
        local permits = math.min(wanted, lease)
        if wait == 0 then permits = math.min(wanted, math.max(lease, math.floor((tolerance + now - at) / interval) + 1)) end
        at = at + permits * interval
        local ahead = at - now
        redis.call('SET', KEYS[1], string.format('%.3f %.0f ', at, now) .. limit, 'PX', math.ceil(ahead / 1000) + 1000)
        return {permits, math.ceil(wait), math.ceil(ahead)}
        """)

    static func arguments(_ request: PermitRequest) -> [String] {
        [
            request.limit.perSecond, request.limit.burst, request.wanted, request.permitsOfLease,
            request.passedAway,
        ].map(String.init)
    }

    /// KEYS: when each replica has been here last. ARGV: the replica, and how long it counts.
    /// Returns how many there are.
    static let replicas = RedisScript(
        """
        \(now)
        redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
        redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] / 1000))
        return redis.call('ZCARD', KEYS[1])
        """)
}
