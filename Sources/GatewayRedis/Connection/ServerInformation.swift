/// The reply to `INFO`: lines of `name:value`.
struct ServerInformation {
    private var values: [Substring: Substring] = [:]

    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            values[line[..<colon]] = line[line.index(after: colon)...]
        }
    }

    /// Those that are connected to it; each is a line such as `slave0:ip=10.0.0.2,port=6379,state=online,…`.
    var replicas: Set<RedisConfiguration.Address> {
        var replicas: Set<RedisConfiguration.Address> = []
        for (name, value) in values where name.hasPrefix("slave") && name.dropFirst(5).allSatisfy(\.isNumber) {
            var members: [Substring: Substring] = [:]
            for member in value.split(separator: ",") {
                guard let equals = member.firstIndex(of: "=") else { continue }
                members[member[..<equals]] = member[member.index(after: equals)...]
            }
            if let host = members["ip"], let port = members["port"].flatMap({ Int($0) }) {
                replicas.insert(.init(host: String(host), port: port))
            }
        }
        return replicas
    }

    subscript(name: String) -> String? { values[Substring(name)].map(String.init) }
}
