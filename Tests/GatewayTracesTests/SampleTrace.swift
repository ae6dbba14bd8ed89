import NIOCore

@testable import GatewayCore

extension RequestTrace {
    /// A request that nothing had to be waited for.
    static func sample(_ number: UInt64 = 1, caller: String? = "orders", steps: [Step] = []) -> RequestTrace {
        RequestTrace(
            action: .message, traceID: TraceID(high: 0, low: number), spanID: number, parentID: nil,
            began: UnixTimestamp(seconds: 1_795_497_192, nanoseconds: 5), duration: .milliseconds(2), steps: steps,
            version: .http1, isSecure: false, clientAddress: "10.0.0.7", caller: caller, skill: "weather",
            region: .europe, keySource: nil, requestID: "order-17", record: nil, status: 202, source: .upstream,
            problem: nil, contentBytes: 29)
    }
}
