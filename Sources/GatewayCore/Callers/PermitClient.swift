/// What a replica asks for, of a rate that counts over the whole deployment.
package struct PermitRequest: Equatable, Sendable {
    package var limit: RateLimit
    /// So many permits are wanted.
    package var wanted: Int
    /// Requests that it has let through without permits, since the shared store was away.
    package var passedAway: Int
    /// So many are granted at once, however few may come at this moment.
    package var permitsOfLease: Int { PermitLeases.maximum(limit) }

    package init(limit: RateLimit, wanted: Int, passedAway: Int = 0) {
        self.limit = limit
        self.wanted = wanted
        self.passedAway = passedAway
    }
}

/// Permits that a replica may use up by itself.
package struct PermitLease: Equatable, Sendable {
    package var permits: Int
    /// From so many nanoseconds on: until then, others use up the rate.
    package var wait: Int64
    /// The theoretical arrival time of the deployment's next request, in nanoseconds from now; not negative.
    package var ahead: Int64

    package init(permits: Int, wait: Int64 = 0, ahead: Int64 = 0) {
        self.permits = permits
        self.wait = wait
        self.ahead = ahead
    }
}

/// Asks the store that counts rates over all replicas.
package protocol PermitClient: Sendable {
    /// Calls `then` once, on any thread; with nil if the store cannot be asked, or has said nothing in time.
    ///
    /// - Parameter caller: the `Caller.recordID` of whoever is held to the rate.
    func lease(_ request: PermitRequest, of caller: String, _ then: @escaping @Sendable (PermitLease?) -> Void)

    /// Says that this replica is there. Calls `then` once, on any thread, with the number of those that have said so lately; with nil as
    /// above.
    func countReplicas(_ then: @escaping @Sendable (Int?) -> Void)
}
