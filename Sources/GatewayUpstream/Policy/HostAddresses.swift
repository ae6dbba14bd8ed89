import NIOCore

/// The addresses of one host. Those at which a handshake failed lately are tried after all others. Pure: time is passed in.
struct HostAddresses {
    /// How long a failure is held against an address.
    static let memory = TimeAmount.seconds(30)

    /// So many addresses at which handshakes failed are the host's failure, though its name may stand for yet others.
    private static let limit = 8

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
        return failures.count < Self.limit && known.contains(where: isSound)
    }

    mutating func succeeded(_ address: SocketAddress) {
        failures[address] = nil
    }

    var hasFailures: Bool { !failures.isEmpty }

    private func isSound(_ address: SocketAddress) -> Bool { failures[address] == nil }

    /// What is too old, and the oldest of too many.
    private mutating func forget(now: NIODeadline) {
        guard !failures.isEmpty else { return }
        failures = failures.filter { now - $0.value < Self.memory }
        while failures.count > Self.limit, let oldest = failures.min(by: { $0.value < $1.value }) {
            failures[oldest.key] = nil
        }
    }
}
