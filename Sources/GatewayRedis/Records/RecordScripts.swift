/// The rules of `IdempotencyRecord`, each applied by the server in one step. The format is that of `RecordValue`.
enum RecordScripts {
    /// KEYS: record. ARGV: what to set, retention in ms, fingerprint, `1` for consent.
    /// Nil: there was nothing, and it is set. 1: it has replaced what was doubtful. Else what is there and the milliseconds that remain of it.
    static let claim = RedisScript(
        """
        local v = redis.call('GET', KEYS[1])
        local new = ARGV[1]
        if v then
          local left = redis.call('PTTL', KEYS[1])
          local state = string.sub(v, 1, 1)
          local sending = state == 's' or state == 'r'
          local doubtful = state == 'u' or (sending and left <= tonumber(string.sub(v, 34)))
          if ARGV[4] ~= '1' or not doubtful or string.sub(v, 2, 17) ~= ARGV[3] then
            return {v, left}
          end
          redis.call('SET', KEYS[1], 'r' .. string.sub(new, 2), 'PX', ARGV[2])
          return 1
        end
        redis.call('SET', KEYS[1], new, 'PX', ARGV[2])
        return false
        """)

    /// Sets the record, for so many milliseconds; for ever if they are negative, as those of a record without expiry are. A server that is full
    /// takes no more data; the record at hand makes room for what became of it. Returns 1, or the error.
    private static let set = """
        local function put(value, ttl)
          if ttl < 0 then return redis.pcall('SET', KEYS[1], value) end
          return redis.pcall('SET', KEYS[1], value, 'PX', math.max(1, ttl))
        end
        local function set(value, ttl)
          local reply = put(value, ttl)
          if type(reply) ~= 'table' or not reply.err then return 1 end
          if not string.find(reply.err, 'OOM') then return reply end
          redis.call('DEL', KEYS[1])
          reply = put(value, ttl)
          return type(reply) == 'table' and reply.err and reply or 1
        end
        """

    /// KEYS: record. ARGV: `accepted`, `unknown` or `released`, fingerprint, owner, what to set, retention in ms.
    /// A late acceptance does not shorten the record of a later attempt, and says what a receipt alone has not said. A resend that is
    /// released leaves the doubt that was there before it.
    /// Returns the record if the message was accepted and this attempt does not know it, else a number.
    static let settle = RedisScript(
        """
        local v = redis.call('GET', KEYS[1])
        local state = v and string.sub(v, 1, 1)
        local owned = (state == 's' or state == 'r') and string.sub(v, 18, 33) == ARGV[3]
        if v and not owned and string.sub(v, 2, 17) ~= ARGV[2] then return 0 end
        \(set)
        if state == 'a' or state == 'd' then
          if ARGV[1] ~= 'accepted' then return v end
          local known = state == 'd' and 25 or 17
          if string.sub(v, known + 4, known + 4) ~= '-' then return 0 end
          local value = ARGV[4]
          if state == 'd' then
            local answer = string.sub(ARGV[4], string.sub(ARGV[4], 1, 1) == 'd' and 26 or 18)
            value = string.sub(v, 1, known) .. answer
          end
          return set(value, redis.call('PTTL', KEYS[1]))
        end
        if ARGV[1] == 'accepted' then
          local ttl = math.max(1, tonumber(ARGV[5]))
          if v and not owned then ttl = math.max(ttl, redis.call('PTTL', KEYS[1])) end
          return set(ARGV[4], ttl)
        end
        if not owned then return 0 end
        if ARGV[1] == 'unknown' or state == 'r' then
          local value = 'u' .. string.sub(v, 2, 17) .. string.sub(ARGV[4], 18)
          return set(value, redis.call('PTTL', KEYS[1]))
        else
          redis.call('DEL', KEYS[1])
        end
        return 1
        """)

    /// KEYS: record. ARGV: when the skill has reported the message, as 8 bytes and in decimal; when a record of it expires at the latest, or
    /// nothing; bytes 9 to 12 of its fingerprint, or nothing. Times are Unix times in ms.
    /// The command may have been long on its way, so the server's own clock is asked, too, where an ACL allows it.
    /// Nil: there is no record of it. For the first report: 1, or 2 if it is the proof that the message was accepted, and the milliseconds that
    /// remain of the record. Else when it was first.
    static let receive = RedisScript(
        """
        local v = redis.call('GET', KEYS[1])
        if not v then return false end
        local state = string.sub(v, 1, 1)
        if #v < 17 or not string.find('sruad', state, 1, true) or (state == 'd' and #v < 29) then
          return redis.error_reply('ERR not a record')
        end
        local ttl = redis.call('PTTL', KEYS[1])
        if ARGV[3] ~= '' then
          local now, time = tonumber(ARGV[2]), redis.pcall('TIME')
          if not time.err then now = math.max(now, time[1] * 1000 + math.floor(time[2] / 1000)) end
          if ttl > tonumber(ARGV[3]) - now then return false end
        end
        if ARGV[4] ~= '' and string.sub(v, 10, 13) ~= ARGV[4] then return false end
        if state == 'd' then return string.sub(v, 18, 25) end
        local accepted = state == 'a'
        local value = 'd' .. string.sub(v, 2, 17) .. ARGV[1] .. (accepted and string.sub(v, 18) or '202-')
        \(set)
        local reply = set(value, ttl)
        if reply ~= 1 then return reply end
        return {accepted and 1 or 2, ttl}
        """)

    /// KEYS: record. Nil: there is none. Else what is there and the milliseconds that remain of it.
    static let report = RedisScript(
        """
        local v = redis.call('GET', KEYS[1])
        if not v then return false end
        return {v, redis.call('PTTL', KEYS[1])}
        """)
}
