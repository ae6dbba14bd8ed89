import GatewayCore
import NIOCore

/// The clocks of servers beside one that never jumps. Pure.
struct ServerClocks {
    /// A clock that differs from ours by so much more or less than at the last look has jumped. Slewing is slower, and so is a reply.
    private static let tolerance = Duration.seconds(2)

    /// Of each address, how far its clock is ahead of ours.
    private var offsets: [RedisConfiguration.Address: Duration] = [:]

    /// - Parameters:
    ///   - reply: to `TIME`: seconds of Unix time, and microseconds.
    ///   - asked: when the command was given.
    /// - Returns: by how much the clock has jumped since the last look; nil if it has not.
    mutating func note(_ reply: RESPValue, of address: RedisConfiguration.Address, at asked: NIODeadline) -> Duration? {
        guard case .array(let elements) = reply, elements.count == 2,
            let seconds = elements[0].text.flatMap({ Int64($0) }), (0...1 << 40).contains(seconds),
            let microseconds = elements[1].text.flatMap({ Int64($0) }), (0..<1_000_000).contains(microseconds)
        else { return nil }
        let time = Duration.seconds(seconds) + .microseconds(microseconds)
        let offset = time - Duration(from: .uptimeNanoseconds(0), to: asked)
        guard let before = offsets.updateValue(offset, forKey: address) else { return nil }
        let jump = offset - before
        return jump > Self.tolerance || jump < .zero - Self.tolerance ? jump : nil
    }
}
