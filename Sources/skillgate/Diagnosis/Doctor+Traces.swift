import GatewayTraces
import TokenEndpointClient

extension Doctor {
    /// Whether the collector of traces takes an export, in which there are none.
    mutating func examineTraces(_ traces: GatewayConfiguration.TracesConfiguration) async {
        let post = TracePost(traces, configuration.upstream.proxy, configuration.endpoints)
        do {
            let response = try await post.transfer([]).perform()
            // Any web server may answer 200.
            let isTaken = (200...299).contains(response.status) && TracePost.isAnswer(response)
            diagnosis.add(
                "traces",
                problem: isTaken
                    ? nil
                    : "what answers status \(response.status) to an empty export is no OTLP/HTTP receiver, or wants none; its URL ends in /v1/traces, as a rule",
                "asked at \(post.url), status \(response.status); \(response.times.text)")
        } catch {
            diagnosis.add(
                "traces",
                problem: error.problem(reaching: post.url, through: post.proxyURL, caFile: "traces.caFile"),
                error.description)
        }
    }
}
