import FoundationEssentials
import GatewayEvents
import TokenEndpointClient

extension Doctor {
    /// Whether the receiver of events takes one: a `skillgate.ping`.
    mutating func examineEvents(_ events: GatewayConfiguration.EventsConfiguration) async {
        guard let post = EventPost(events, configuration.upstream.proxy) else { return }
        let ping = CloudEvent.ping(
            at: UnixTime.timestamp(), id: UUID().uuidString.lowercased(), host: ThisProcess.hostName)
        do {
            let response = try await post.transfer(ping).perform()
            let isTaken = (200...299).contains(response.status)
            diagnosis.add(
                "events",
                problem: isTaken
                    ? nil
                    : "the receiver answers status \(response.status) to a signed `skillgate.ping`; expected 2xx",
                "asked at \(post.shownURL), status \(response.status); \(response.times.text)")
        } catch {
            diagnosis.add(
                "events",
                problem: error.problem(reaching: post.shownURL, through: post.proxyURL, caFile: "events.caFile"),
                error.description)
        }
    }
}
