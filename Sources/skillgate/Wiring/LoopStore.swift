import GatewayCore
import GatewayFiles
import GatewayRedis

/// A store that outlives the process, as one event loop has it.
enum LoopStore {
    case file(FileIdempotencyStore)
    case redis(SharedIdempotencyStore, RedisClient)

    var store: any IdempotencyStore {
        switch self {
        case .file(let store): store
        case .redis(let store, _): store
        }
    }

    var isUp: Bool {
        switch self {
        case .file(let store): store.isUp
        case .redis(_, let server): server.isUp
        }
    }

    var statistics: SharedStoreStatistics {
        switch self {
        case .file(let store): store.statistics
        case .redis(let store, _): store.statistics
        }
    }

    /// - Parameter callers: their ids, by label.
    func use(callers: [String]) {
        if case .file(let store) = self { store.use(callers: callers) }
    }

    func shutDown() {
        switch self {
        case .file(let store): store.shutDown()
        case .redis(_, let server): server.shutDown()
        }
    }
}
