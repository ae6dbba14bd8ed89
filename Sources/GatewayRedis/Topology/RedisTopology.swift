import NIOCore

/// Which server is asked. Bound to one event loop.
protocol RedisTopology: AnyObject {
    /// Whether every record can be reached.
    var isUp: Bool { get }

    func start()
    /// Called once a second: is what is known of servers still so?
    func look()
    func shutDown()

    /// The node that keeps `key`, or any for nil; nil while that is not known.
    func node(for key: ByteBuffer?) -> RedisNode?

    /// Every node that keeps records and is connected.
    var nodes: [RedisNode] { get }

    /// How many replicas a server has, at most, whether or not they can be reached; nil where nobody says.
    var replicas: Int? { get }

    /// The node that a redirection names; nil where there are none to be followed.
    func node(for refusal: RedisRefusal) -> RedisNode?
}
