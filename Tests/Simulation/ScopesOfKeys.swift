import GatewayCore
import NIOCore
import Synchronization

/// Under which scope the records of each key are: what a gateway asks its store for before it sends anything.
final class ScopesOfKeys: Sendable {
    static let shared = ScopesOfKeys()
    static let keys = 4

    private let scopes: Mutex<[IdempotencyScope]>

    private init() {
        let store = AskedStore()
        let loop = VirtualEventLoop(Timeline(seed: 0))
        let tokens = TokenCache(
            ClientCredentials(clientID: "c", clientSecret: "s"), endpoint: SimulatedTokenEndpoint(seed: 0),
            eventLoop: loop)
        let forwarder = try? SimulatedProcess.forwarder(
            store: store, pool: NoPool(), tokens: tokens, loop: loop, origin: 0)
        for key in 0..<Self.keys {
            guard let request = Ledger.Message(key: key, variant: 0).request() else { continue }
            forwarder?.handle(request, from: Peer(), to: Nobody())
        }
        scopes = Mutex(store.asked)
    }

    func scope(of key: Int) -> IdempotencyScope? {
        scopes.withLock { $0.indices.contains(key) ? $0[key] : nil }
    }

    private final class AskedStore: IdempotencyStore {
        var asked: [IdempotencyScope] = []
        var kind: StoreKind { .memory }

        func claim(_ claim: IdempotencyClaim, now: NIODeadline, on eventLoop: any EventLoop) -> Eventual<ClaimReply> {
            .now(ClaimReply(.storeFull, .memory))
        }

        func settle(
            _ claim: IdempotencyClaim, _ settlement: Settlement, result: AttemptResult, now: NIODeadline,
            on eventLoop: any EventLoop
        ) -> Eventual<SettlementReply> { .now(.confirmed) }

        func resultOfAttemptInFlight(
            _ claim: IdempotencyClaim, on eventLoop: any EventLoop
        ) -> Eventual<AttemptResult?> { .now(nil) }

        func acceptedResponse(to claim: IdempotencyClaim, now: NIODeadline) -> AcceptedResponse? {
            asked.append(claim.scope)
            return nil
        }

        func receive(
            _ receipt: Receipt, on eventLoop: any EventLoop
        ) -> Eventual<ReceiptOutcome?> { .now(nil) }

        func report(on scope: IdempotencyScope, on eventLoop: any EventLoop) -> Eventual<KeyReport?> {
            .now(KeyReport(.absent))
        }
    }

    private final class NoPool: UpstreamPool {
        func lease(for receiver: any UpstreamReceiver) -> Result<any UpstreamConnection, UpstreamUnavailable>? {
            .failure(.notResolved)
        }
    }

    private final class Nobody: ResponseRecipient {
        func answered(_ answer: Response) {}
    }
}
