import NIOCore

/// The addresses of one host. Those at which a handshake failed lately are tried after all others. Pure: time is passed in.
struct HostAddresses {
    /// How long a failure is held against an address.
    static let memory = TimeAmount.seconds(30)

    typealias ByFamily = (v6: [SocketAddress], v4: [SocketAddress])

    /// As resolved last.
    private var known: [SocketAddress] = []
    /// When a handshake failed there last.
    private var failures: [SocketAddress: NIODeadline] = [:]

    /// The host was resolved.
    ///
    /// - Returns: the addresses in the order in which they are to be tried. Of a family in which all failed lately there are none
    ///   as long as the other has better ones: which family is tried first is decided elsewhere.
    mutating func resolved(_ addresses: ByFamily, now: NIODeadline) -> ByFamily {
        known = addresses.v6 + addresses.v4
        forget(now: now)
        guard !failures.isEmpty, known.contains(where: isSound) else { return addresses }
        return (ordered(addresses.v6), ordered(addresses.v4))
    }

    private func ordered(_ family: [SocketAddress]) -> [SocketAddress] {
        let sound = family.filter(isSound)
        return sound.isEmpty ? [] : sound + family.filter { !isSound($0) }
    }

    /// A handshake failed at the address.
    ///
    /// - Returns: whether there is another one at which none failed lately.
    mutating func failed(_ address: SocketAddress, now: NIODeadline) -> Bool {
        failures[address] = now
        forget(now: now)
        return known.contains(where: isSound)
    }

    mutating func succeeded(_ address: SocketAddress) {
        failures[address] = nil
    }

    var hasFailures: Bool { !failures.isEmpty }

    private func isSound(_ address: SocketAddress) -> Bool { failures[address] == nil }

    /// What is too old, and what the host's name no longer stands for.
    private mutating func forget(now: NIODeadline) {
        guard !failures.isEmpty else { return }
        let current = Set(known)
        failures = failures.filter { current.contains($0.key) && now - $0.value < Self.memory }
    }
}
