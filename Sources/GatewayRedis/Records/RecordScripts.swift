import Crypto

/// A Lua script and the name servers know it by once they have seen it.
struct RecordScript {
    let source: String
    /// Of the source, as `EVALSHA` wants it.
    let sha1: String

    init(_ source: String) {
        self.source = source
        sha1 = Insecure.SHA1.hash(data: Array(source.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}

/// The rules of `IdempotencyRecord`, each applied by the server in one step. The format is that of `RecordValue`.
enum RecordScripts {
    /// KEYS: record. ARGV: what to set, retention in ms, fingerprint, `1` for consent.
    /// Nil: it is set. Else what is there and the milliseconds that remain of it.
    static let claim = RecordScript(
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
          new = 'r' .. string.sub(new, 2)
        end
        redis.call('SET', KEYS[1], new, 'PX', ARGV[2])
        return false
        """)

    /// KEYS: record. ARGV: `accepted`, `unknown` or `released`, fingerprint, owner, what to set, retention in ms.
    /// A resend that is released leaves the doubt that was there before it.
    static let settle = RecordScript(
        """
        local v = redis.call('GET', KEYS[1])
        if v and string.sub(v, 2, 17) ~= ARGV[2] then return 0 end
        local state = v and string.sub(v, 1, 1)
        if ARGV[1] == 'accepted' then
          if state == 'a' then return 0 end
          redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
          return 1
        end
        if state ~= 's' and state ~= 'r' then return 0 end
        if string.sub(v, 18, 33) ~= ARGV[3] then return 0 end
        if ARGV[1] == 'unknown' or state == 'r' then
          redis.call('SET', KEYS[1], 'u' .. ARGV[2], 'KEEPTTL')
        else
          redis.call('DEL', KEYS[1])
        end
        return 1
        """)

    /// KEYS: record. Nil: there is none. Else what is there and the milliseconds that remain of it.
    static let report = RecordScript(
        """
        local v = redis.call('GET', KEYS[1])
        if not v then return false end
        return {v, redis.call('PTTL', KEYS[1])}
        """)
}
