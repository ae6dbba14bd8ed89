/// An error reply, by what is to be done about it.
enum RedisRefusal: Equatable {
    /// The server does not know the script; with its source it will.
    case unknownScript
    /// The key's slot is elsewhere, from now on.
    case moved(slot: Int, RedisConfiguration.Address)
    /// This key is elsewhere, this once: its slot is moving.
    case ask(RedisConfiguration.Address)
    /// It is no master, or not ready to be one: another connection may lead to the right one.
    case wrongServer
    /// The cluster does not know at the moment.
    case clusterDown
    /// No memory for another record.
    case full
    case other

    /// - Parameters:
    ///   - text: of the error.
    ///   - host: of the server that said it, for redirections that name none.
    init(_ text: String, from host: String) {
        let words = text.split(separator: " ")
        switch words.first {
        case "NOSCRIPT": self = .unknownScript
        case "READONLY", "LOADING", "MASTERDOWN": self = .wrongServer
        case "CLUSTERDOWN", "TRYAGAIN": self = .clusterDown
        case "OOM": self = .full
        case "MOVED", "ASK":
            guard words.count >= 3, let slot = Int(words[1]), let address = Self.address(words[2], from: host) else {
                self = .other
                return
            }
            self = words[0] == "MOVED" ? .moved(slot: slot, address) : .ask(address)
        default: self = .other
        }
    }

    /// Redis puts no brackets around an IPv6 address, and may leave the host out.
    private static func address(_ text: Substring, from host: String) -> RedisConfiguration.Address? {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65_535).contains(port)
        else { return nil }
        let name = text[..<colon]
        return RedisConfiguration.Address(host: name.isEmpty || name == "?" ? host : String(name), port: port)
    }
}
