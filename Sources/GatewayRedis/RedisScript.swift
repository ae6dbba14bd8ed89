import Crypto

/// A Lua script and the name servers know it by once they have seen it.
struct RedisScript {
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
