import GatewayCore

extension GatewayConfiguration {
    /// Members that differ and that a running gateway cannot change without a restart.
    func membersThatNeedRestart(from running: GatewayConfiguration) -> [String] {
        let members: [(name: String, isSame: Bool)] = [
            ("eventLoops", eventLoops == running.eventLoops),
            ("listeners", listeners == running.listeners),
            ("admin", admin == running.admin),
            ("regions", endpoints == running.endpoints && aliases == running.aliases),
            ("tokenEndpoint", tokenEndpoint == running.tokenEndpoint),
            ("upstream", upstream == running.upstream),
            ("idempotency", idempotency == running.idempotency),
            ("accessLog", accessLogFile == running.accessLogFile),
            ("audit", auditFile == running.auditFile),
            ("drain", drain == running.drain),
        ]
        return members.filter { !$0.isSame }.map(\.name)
    }
}
