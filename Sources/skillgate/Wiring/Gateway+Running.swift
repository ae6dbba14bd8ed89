import GatewayCore
import GatewayServer
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// Runs the gateway: binds the listeners, and drains on the signal that ends the process.
extension Gateway {
    /// Serves until told to shut down; then drains, and returns when the last message has been answered.
    func run() async throws {
        for skill in skills { skill.tokens.start() }
        current.withLock { $0.reloadable.issuers }.start()
        let listeners = try await bind()
        current.withLock { $0.listeners = listeners }
        serviceManager.tell(.ready)
        await onListening(listeners.compactMap(\.port))
        try? await gracefulShutdown()
        try await drain(listeners)
    }

    private func bind() async throws -> [HTTPListener] {
        var listeners: [HTTPListener] = []
        for var listener in configuration.listeners {
            limitConnections(of: &listener)
            let address = listener.address.description
            let bound = try await HTTPListener.bind(
                listener, handlers: loops.map(\.handler),
                encoder: ResponseEncoder(
                    endpoints: configuration.endpoints, documentation: configuration.problemDocumentation),
                group: group, inherited: inheritedSockets,
                onExhausted: { [listenerLog] in listenerLog.failedToAccept($0) },
                onRefusedProxy: { [listenerLog] in listenerLog.refused($0, $1, at: address) },
                onRevoked: { [listenerLog] in listenerLog.revoked($0, at: address) })
            if case .inherited = listener.address, configuration.anonymousCaller != nil, !bound.isLocal,
                listener.services.contains(.messages)
            {
                throw ListeningError(
                    "cannot listen on \(listener.address): it can be reached from other machines, and `anonymousCaller` lets "
                        + "anyone who reaches it send")
            }
            if case .inherited = listener.address, let expected = bound.expectedProxies(listener.trustedProxies) {
                throw ListeningError(
                    "cannot listen on \(listener.address): `trustedProxies` names what cannot connect to it; expected \(expected)"
                )
            }
            logger.notice(
                "listening", metadata: ["gateway.listener": "\(listener.address.bound(to: bound.port))"])
            listeners.append(bound)
        }
        return listeners
    }

    /// With at least this many, a limit below the configured one is not logged.
    private static let fewConnections = 4096

    private func limitConnections(of listener: inout ListenerConfiguration) {
        let affordable = max(1, ThisProcess.connectionsForCallers / configuration.listeners.count)
        guard affordable < listener.maximumConnections else { return }
        defer { listener.maximumConnections = affordable }
        guard affordable < Self.fewConnections else { return }
        logger.notice(
            "the open-file limit allows fewer connections than configured",
            metadata: [
                "gateway.connections.address": "\(listener.address)", "gateway.connections.allowed": "\(affordable)",
                "gateway.connections.configured": "\(listener.maximumConnections)",
            ])
    }
}
