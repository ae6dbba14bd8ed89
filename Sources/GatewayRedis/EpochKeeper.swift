import NIOCore

/// Sees to it that every connection knows what the epoch key of its server holds, and says what a change means. Bound to its
/// event loop.
final class EpochKeeper {
    private let health: RedisHealth
    private let onStoreWiped: RedisConfiguration.WhenWiped
    private let retention: Duration
    private let unixMilliseconds: () -> Int
    private let onEvent: (RedisClient.Event) -> Void

    init(
        _ configuration: RedisConfiguration, health: RedisHealth, unixMilliseconds: @escaping () -> Int,
        onEvent: @escaping (RedisClient.Event) -> Void
    ) {
        self.health = health
        onStoreWiped = configuration.onStoreWiped
        retention = configuration.retention
        self.unixMilliseconds = unixMilliseconds
        self.onEvent = onEvent
    }

    /// Looks at the key on this connection; the connection checks it behind its claims from then on.
    ///
    /// - Parameter then: called once, whatever came of it.
    func look(at key: String, on connection: RedisConnection, _ then: @escaping () -> Void) {
        read(key, connection) { found in
            switch found {
            case .unreadable:
                if self.onStoreWiped == .hold && self.health.epochs.known(key) == nil {
                    // Until it can be read, nobody vouches for the records.
                    _ = self.health.epochs.note(key, .wiped(until: .max))
                    self.onEvent(.notAdopted)
                }
                self.expect(self.health.epochs.known(key), at: key, connection)
                then()
            case .epoch(let epoch): self.found(epoch, at: key, on: connection, then)
            }
        }
    }

    /// It is not known yet by which key it shows that this server has lost its records.
    func guardUnknown(_ connection: RedisConnection) {
        if onStoreWiped == .hold { connection.epoch = EpochCheck(key: "", expected: nil, holds: true) }
    }

    private func found(
        _ epoch: StoreEpoch?, at key: String, on connection: RedisConnection, _ then: @escaping () -> Void
    ) {
        switch epoch {
        case nil:
            // Somebody else may make it at the same time: what is there then counts for all.
            let holds = onStoreWiped == .hold && !isMoved(key, connection)
            if holds && health.epochs.known(key) == nil { onEvent(.notAdopted) }
            let until = unixMilliseconds() + retention.inMilliseconds
            write(holds ? .wiped(until: until) : .fresh(), at: key, ["NX"], on: connection, then)
        case .wiped(let until)? where until <= unixMilliseconds() || onStoreWiped == .serve:
            // Everything that it may have forgotten would have expired by now, or nobody minds.
            write(.fresh(), at: key, ["XX"], on: connection, then)
        case .sound? where onStoreWiped == .hold && isReplaced(epoch, at: key):
            // Somebody has created it again without an operator's consent, or an older state came back.
            let until = unixMilliseconds() + retention.inMilliseconds
            write(.wiped(until: until), at: key, ["XX"], on: connection, then)
        case let epoch?:
            note(epoch, at: key)
            expect(epoch, at: key, connection)
            then()
        }
    }

    /// Whether what was sound when it was looked at last has given way to another.
    private func isReplaced(_ epoch: StoreEpoch?, at key: String) -> Bool {
        guard let known = health.epochs.known(key) else { return false }
        return known.isSound && known != epoch
    }

    /// Whether the same server's records were there a moment ago, under another key: slots of a cluster have moved.
    private func isMoved(_ key: String, _ connection: RedisConnection) -> Bool {
        guard let epoch = connection.epoch, epoch.key != key else { return false }
        return epoch.expected?.isSound == true
    }

    private func write(
        _ epoch: StoreEpoch, at key: String, _ condition: [String], on connection: RedisConnection,
        _ then: @escaping () -> Void
    ) {
        connection.send(RedisRequest(.plain(["SET", key, epoch.text] + condition))) { _ in
            self.read(key, connection) { found in
                if case .epoch(let epoch?) = found {
                    self.note(epoch, at: key)
                    self.expect(epoch, at: key, connection)
                } else {
                    self.expect(self.health.epochs.known(key), at: key, connection)
                }
                then()
            }
        }
    }

    private func note(_ epoch: StoreEpoch, at key: String) {
        switch health.epochs.note(key, epoch) {
        case .same: break
        case .wiped:
            health.noteWipe()
            onEvent(.wiped)
        case .sound: onEvent(.adopted)
        }
    }

    private func expect(_ epoch: StoreEpoch?, at key: String, _ connection: RedisConnection) {
        connection.epoch = EpochCheck(key: key, expected: epoch, holds: onStoreWiped == .hold)
    }

    private enum Reading {
        /// The server does not say, or does not keep the key.
        case unreadable
        /// Nil: there is none.
        case epoch(StoreEpoch?)
    }

    private func read(_ key: String, _ connection: RedisConnection, _ then: @escaping (Reading) -> Void) {
        connection.send(RedisRequest(.plain(["GET", key]))) { result in
            switch result {
            case .success(.null): then(.epoch(nil))
            case .success(let reply): then(reply.text.map { .epoch(StoreEpoch($0)) } ?? .unreadable)
            case .failure: then(.unreadable)
            }
        }
    }
}
