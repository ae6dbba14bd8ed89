import TokenEndpointClient
import WebTokens

extension Doctor {
    /// Whether the keys of an issuer of callers' tokens are to be had, and of use. Those in a file have been looked at by whoever read the
    /// configuration.
    mutating func examineKeys(of issuer: GatewayConfiguration.IssuerConfiguration) async {
        guard case .url(let url) = issuer.jwks else { return }
        let fetch = KeyFetch(url, of: issuer, configuration.upstream.proxy)
        let subject = "issuer \(issuer.name)"
        do {
            let keys = try await fetch.perform()
            diagnosis.add(subject, "\(keys.count) keys from \(url)")
        } catch let failure as HTTPTransfer.Failure {
            diagnosis.add(
                subject, problem: failure.problem(reaching: url, through: fetch.proxy, caFile: "issuers[].caFile"),
                failure.description)
        } catch {
            diagnosis.add(subject, problem: "its keys cannot be fetched: \(error)", "asked at \(url)")
        }
    }
}
