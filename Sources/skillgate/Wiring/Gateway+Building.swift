import GatewayCore
import GatewayServer
import Logging
import NIOCore
import TokenEndpointClient

/// Factories for the parts of the gateway.
extension Gateway {
    /// Logged per event loop: each has a circuit breaker of its own (decision 14).
    static func log(
        _ circuit: CircuitState, _ region: Region, eventLoop: Int, _ logger: Logger
    ) {
        let metadata: Logger.Metadata = ["cloud.region": "\(region.name)", "gateway.event_loop": "\(eventLoop)"]
        if circuit == .closed {
            logger.notice("circuit closed", metadata: metadata)
        } else {
            logger.warning("circuit open: region not responding, no messages are sent to it", metadata: metadata)
        }
    }

    static func tokenEndpoint(_ configuration: GatewayConfiguration) -> LoginWithAmazon {
        LoginWithAmazon(
            url: configuration.tokenEndpoint, userAgent: Build.userAgent, caFile: configuration.upstream.caFile,
            proxy: configuration.upstream.proxy.url(for: configuration.tokenEndpoint))
    }

    func tokenCache(_ skill: GatewayConfiguration.SkillConfiguration) -> TokenCache {
        Self.tokenCache(skill, Self.tokenEndpoint(configuration), events, controlLoop, logger)
    }

    static func tokenCache(
        _ skill: GatewayConfiguration.SkillConfiguration, _ endpoint: LoginWithAmazon, _ events: EventReporter,
        _ controlLoop: any EventLoop, _ logger: Logger
    ) -> TokenCache {
        TokenCache(
            skill.credentials, endpoint: endpoint, eventLoop: controlLoop,
            firstGeneration: UInt64(UInt32.random(in: 0...UInt32.max)) << 32,
            onFailure: { failure in
                logger.warning(
                    "access token fetch failed",
                    metadata: [
                        "gateway.skill": "\(skill.name)", "error.type": "\(failure.reason.rawValue)",
                        "gateway.token.detail": "\(failure.detail)",
                    ])
            }, onEnded: { events.tokenFetchEnded($1, skill: skill.name, $0) })
    }

    static func forwarding(
        _ configuration: GatewayConfiguration, _ reloadable: inout ReloadableState
    ) throws(RegionDirectory.Conflict) -> ForwardingConfiguration {
        let tokens = configuration.callerTokens
        let directory = CallerDirectory(
            reloadable.entries(configuration),
            anonymousCaller: configuration.anonymousCaller.map { _ in configuration.namedCallers.count },
            tokens: CallerTokens(
                signingSecrets: tokens?.signingSecrets ?? [],
                lifetimeSeconds: Int(tokens?.lifetime.components.seconds ?? 0)),
            webTokens: reloadable.issuers.verifier)
        var forwarding = ForwardingConfiguration(
            callers: directory, skills: reloadable.skills, regions: try configuration.regionDirectory(),
            endpoints: configuration.endpoints)
        forwarding.limits = configuration.upstream.limits
        forwarding.receipts = ReceiptIDs(
            signingSecrets: configuration.receipts?.signingSecrets ?? [],
            skills: configuration.skills.map { $0.receiptMember == nil ? nil : $0.recordID })
        forwarding.retention = configuration.idempotency.retention
        forwarding.concurrentDuplicates = configuration.idempotency.concurrentDuplicates
        forwarding.discovery = configuration.discovery
        forwarding.strict5xx = configuration.upstream.strict5xx
        forwarding.acceptedPerLogLine = configuration.acceptedPerLogLine
        forwarding.tracing = configuration.traces?.sampling
        if let events = configuration.events {
            forwarding.events = Set(events.kinds)
            forwarding.unknownOutcomeAge = events.unknownOutcomeAge
        }
        return forwarding
    }
}
