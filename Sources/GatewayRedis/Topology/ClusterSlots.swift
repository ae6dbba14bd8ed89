import NIOCore

/// Which node of a cluster keeps which key: 16,384 slots, and where each is. Pure.
struct ClusterSlots {
    static let count = 16_384

    private var addresses: [RedisConfiguration.Address] = []
    /// Of each address, how many replicas it has that have not failed.
    private var replicas: [Int] = []
    /// By slot, the place in `addresses`.
    private var places: [UInt16?] = Array(repeating: nil, count: count)

    var nodes: [RedisConfiguration.Address] { addresses }

    /// Whether some key has no place to go.
    var isComplete: Bool { !places.contains(nil) }

    init() {}

    /// - Parameters:
    ///   - reply: to `CLUSTER SLOTS`.
    ///   - host: of the node that gave it, for nodes without a name of their own.
    init?(_ reply: RESPValue, from host: String) {
        // Ranges do not overlap, so that there cannot be more than slots.
        guard case .array(let ranges) = reply, ranges.count <= Self.count else { return nil }
        var assigned = 0
        for range in ranges {
            guard case .array(let members) = range, members.count >= 3, case .integer(let first) = members[0],
                case .integer(let last) = members[1], case .array(let master) = members[2], master.count >= 2,
                case .integer(let port) = master[1], (0...65_535).contains(port), first >= 0, last < Self.count,
                first <= last, assigned + (last - first + 1) <= Self.count
            else { return nil }
            assigned += last - first + 1
            let name = master[0].text ?? ""
            let address = RedisConfiguration.Address(host: name.isEmpty || name == "?" ? host : name, port: port)
            guard let place = place(of: address) else { return nil }
            replicas[Int(place)] = max(replicas[Int(place)], members.count - 3)
            for slot in first...last { places[slot] = place }
        }
    }

    /// What more than half of the nodes that keep records say of each slot, and otherwise what was known before.
    ///
    /// - Parameter views: of nodes that were asked, one of each.
    func agreement(of views: [ClusterSlots]) -> ClusterSlots {
        guard !views.isEmpty else { return self }
        var agreed = self
        if !views.allSatisfy({ $0.isSameMap(as: self) }) {
            agreed = ClusterSlots()
            for slot in 0..<Self.count {
                let candidates = views.compactMap { $0.address(of: slot) }
                let elected = candidates.first { candidate in
                    candidates.count { $0 == candidate } * 2 > nodes.count
                }
                if let address = elected ?? address(of: slot) { agreed.set(slot, to: address) }
            }
        }
        for (place, address) in agreed.addresses.enumerated() {
            // The most cautious view: a replica that one of them still counts may be promoted.
            agreed.replicas[place] = views.map { $0.replicas(of: address) }.max() ?? 0
        }
        return agreed
    }

    func isSameMap(as other: ClusterSlots) -> Bool { addresses == other.addresses && places == other.places }

    /// How many replicas it has that have not failed.
    func replicas(of address: RedisConfiguration.Address) -> Int {
        addresses.firstIndex(of: address).map { replicas[$0] } ?? 0
    }

    /// Whether the key's slot is that node's.
    func keeps(_ key: String, at address: RedisConfiguration.Address) -> Bool {
        self.address(of: Self.slot(of: ByteBuffer(string: key))) == address
    }

    /// A cluster has a thousand nodes at most (Redis Cluster specification).
    private static let maximumNodes = 1000

    private mutating func place(of address: RedisConfiguration.Address) -> UInt16? {
        if let place = addresses.firstIndex(of: address) { return UInt16(clamping: place) }
        guard addresses.count < Self.maximumNodes else { return nil }
        addresses.append(address)
        replicas.append(0)
        return UInt16(clamping: addresses.count - 1)
    }

    mutating func set(_ slot: Int, to address: RedisConfiguration.Address) {
        guard places.indices.contains(slot), let place = place(of: address) else { return }
        places[slot] = place
    }

    func address(of slot: Int) -> RedisConfiguration.Address? {
        places.indices.contains(slot) ? places[slot].map { addresses[Int($0)] } : nil
    }

    /// Of the part in braces, if there is one with something in it (Redis Cluster specification, hash tags).
    static func slot(of key: ByteBuffer) -> Int {
        let bytes = key.readableBytesUInt8Span
        var hashed = 0..<bytes.count
        if let open = bytes.first(UInt8(ascii: "{"), in: hashed),
            let close = bytes.first(UInt8(ascii: "}"), in: open + 1..<bytes.count), close > open + 1
        {
            hashed = open + 1..<close
        }
        return Int(crc16(bytes, hashed)) % count
    }

    /// CRC-16/XMODEM: polynomial 0x1021, initial value 0.
    private static func crc16(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> UInt16 {
        var crc: UInt16 = 0
        for index in range {
            crc ^= UInt16(bytes[index]) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        }
        return crc
    }
}

extension Span where Element == UInt8 {
    fileprivate func first(_ byte: UInt8, in range: Range<Int>) -> Int? {
        for index in range where self[index] == byte { return index }
        return nil
    }
}
