import Hummingbird
import NIOCore

/// Carries out the faults that are set.
struct FaultInjector {
    let amazon: SimulatedAmazon

    /// Answers with what `service` says, or with what the fault that strikes makes of it.
    ///
    /// - Parameter service: reads the request and does what the service does. Where a fault gives the answer it is only
    ///   asked if the fault says that the message is accepted all the same.
    func answer(
        _ target: Target, _ context: SimulatorContext, service: () async throws -> SimulatedResponse
    ) async throws -> Response {
        guard let fault = amazon.strike(target) else { return try await service().response }
        if let milliseconds = fault.latencyMilliseconds { try await Task.sleep(for: .milliseconds(milliseconds)) }
        switch fault.connection {
        case .resetBeforeRead:
            await context.resetConnection()
            return SimulatedResponse(500).response
        case .resetAfterRead:
            if fault.accept == true { _ = try await service() }
            count(target, status: 0, unless: fault.accept)
            await context.resetConnection()
            return SimulatedResponse(500).response
        case .hang:
            if fault.accept == true { _ = try await service() }
            count(target, status: 0, unless: fault.accept)
            try? await context.channel.closeFuture.get()
            return SimulatedResponse(500).response
        case .drip, nil: break
        }
        var answer: SimulatedResponse
        if let status = fault.status {
            if fault.accept == true { _ = try await service() }
            answer = faultAnswer(status, fault)
            count(target, status: status, unless: fault.accept)
        } else {
            answer = try await service()
        }
        answer.retryAfter = fault.retryAfter
        return fault.connection == .drip ? answer.drippingResponse : answer.response
    }

    private func faultAnswer(_ status: Int, _ fault: Faults.Fault) -> SimulatedResponse {
        switch fault.body ?? .json {
        case .json: return SimulatedResponse(status, message: "simulated status \(status)")
        case .empty: return SimulatedResponse(status)
        case .html:
            var answer = SimulatedResponse(status)
            answer.content = "<html><head><title>\(status)</title></head><body><h1>\(status)</h1></body></html>"
            answer.contentType = "text/html"
            return answer
        }
    }

    /// A message or token request that never reached the service.
    private func count(_ target: Target, status: Int, unless accepted: Bool?) {
        guard accepted != true else { return }
        switch target {
        case .region(let region):
            amazon.messageReceived(region)
            amazon.messageRefused(region, status: status)
        case .token: amazon.tokenAnswered(status)
        }
    }
}
