import GatewayAdmin
import GatewayCore
import GatewayServer
import NIOCore
import Synchronization
import TransportSecurity
import WebTokens

extension TokenUnavailable {
    /// What the operator is told.
    fileprivate var reloadDetail: String {
        failure.map { "\($0.reason.rawValue), \($0.detail)" } ?? "no answer in time"
    }
}

extension Gateway {
    /// How long the first token of a skill that was added may take.
    private static let firstTokenTimeout = Duration.seconds(5)

    /// Files that make another configuration of the one in force when they change.
    var watchedFiles: WatchedFiles { current.withLock { $0.configuration.watchedFiles } }

    var runningConfiguration: GatewayConfiguration { current.withLock { $0.configuration } }

    /// The certificate of the admin listener, for reloads to read again.
    func useAdmin(_ tls: ListenerTLS) { current.withLock { $0.adminTLS = tls } }

    /// Takes over another configuration: callers, skills, secrets and certificates. Messages in flight end as they began.
    ///
    /// Whatever can fail comes first, so that it is taken over whole or not at all. Called by one task alone.
    func reload(_ new: GatewayConfiguration) async throws(ReloadRefused) {
        let (running, oldReloadable, tls) = current.withLock {
            ($0.configuration, $0.reloadable, $0.listeners.compactMap(\.tls) + ($0.adminTLS.map { [$0] } ?? []))
        }
        let members = new.membersThatNeedRestart(from: running)
        guard members.isEmpty else {
            throw ReloadRefused(reasons: members.map { "`\($0)` has changed, which requires a restart" })
        }
        let renewals = try read(tls)
        var reloadable = oldReloadable
        let changes = reloadable.take(new, users) { tokenCache($0) }
        let forwarding: ForwardingConfiguration
        var issuers = KnownIssuers.Changes()
        do {
            issuers = try await reloadable.issuers.take(new, controlLoop: controlLoop, logger)
            forwarding = try Self.forwarding(new, &reloadable)
            try await fetchFirstKeys(issuers)
            try await fetchFirstTokens(changes.added, new)
        } catch {
            for (_, keys) in issuers.added { keys.stop() }
            throw error as? ReloadRefused ?? ReloadRefused(reasons: ["\(error)"])
        }

        for (tls, renewal) in renewals { tls.use(renewal) }
        for (tokens, credentials) in changes.replaced { tokens.replaceCredentials(credentials) }
        events.use(new, reloadable.skills)
        traces.use(new)
        await use(forwarding, reloadable)
        await shareRecords(among: new.callers.count, callerNames: reloadable.callerNames, new)
        LogSettings.shared.use(new.log)
        adminAccess.use(new.adminAccess.operators)
        current.withLock { current in
            current.configuration = new
            current.reloadable = reloadable
        }
        retire(changes.removed)
        for keys in issuers.removed { keys.stop() }
        reloads.succeeded(now: UnixTime.now())
    }

    private func read(
        _ tls: [ListenerTLS]
    ) throws(ReloadRefused) -> [(ListenerTLS, ListenerTLS.Renewal)] {
        do throws(PEMFile.LoadingError) {
            var renewals: [(ListenerTLS, ListenerTLS.Renewal)] = []
            for tls in tls { renewals.append((tls, try tls.read())) }
            return renewals
        } catch {
            throw ReloadRefused(reasons: [error.description])
        }
    }

    /// A skill that is added has a token before a message can name it. One without would make the whole gateway unready.
    private func fetchFirstTokens(
        _ caches: [TokenCache], _ configuration: GatewayConfiguration
    ) async throws(ReloadRefused) {
        for cache in caches { cache.start() }
        var reasons: [String] = []
        for cache in caches {
            let result = await cache.firstToken(on: controlLoop, atMost: Self.firstTokenTimeout)
            if case .failure(let reason) = result {
                reasons.append("no access token for an added skill: \(reason.reloadDetail)")
            }
        }
        guard reasons.isEmpty else {
            for cache in caches { cache.stop() }
            throw ReloadRefused(reasons: reasons)
        }
    }

    /// An issuer that is added, or whose keys are elsewhere now, has them before a token names one: the keys from before are used until
    /// then.
    private func fetchFirstKeys(_ issuers: KnownIssuers.Changes) async throws(ReloadRefused) {
        var reasons: [String] = []
        for (name, keys) in issuers.added {
            if let reason = await keys.startWithKeys() { reasons.append("no keys of issuer `\(name)`: \(reason)") }
        }
        guard reasons.isEmpty else { throw ReloadRefused(reasons: reasons) }
    }

    private func use(_ forwarding: ForwardingConfiguration, _ reloadable: ReloadableState) async {
        _ = try? await onEachLoop { loop in
            loop.forwarder.value.use(forwarding, callerNames: reloadable.callerNames, skillNames: reloadable.skillNames)
        }
    }

    /// Ends the renewal of tokens that no message can ask for any more, once those in flight are over.
    private func retire(_ caches: [TokenCache]) {
        guard !caches.isEmpty else { return }
        controlLoop.scheduleTask(in: TimeAmount(configuration.upstream.limits.deadline) + .seconds(1)) {
            for cache in caches { cache.stop() }
        }
    }
}
