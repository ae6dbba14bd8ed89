public import GatewayCore

/// How connections from callers are taken and for how long they may do nothing.
public struct ListenerConfiguration: Equatable, Sendable {
    public var host: String
    /// 0: any free port.
    public var port: Int
    public var limits = RequestAssembler.Limits()
    /// For a head to arrive, from its first byte on.
    public var headTimeout = Duration.seconds(5)
    /// For the content to arrive, from the end of the head on.
    public var contentTimeout = Duration.seconds(10)
    /// Between two requests.
    public var idleTimeout = Duration.seconds(75)
    /// Above it no further connection is accepted; those that come wait in the backlog.
    public var maximumConnections = 20_000

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}
