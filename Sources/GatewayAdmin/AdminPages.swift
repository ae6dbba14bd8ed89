import FoundationEssentials
package import GatewayCore
package import NIOCore

/// The admin plane: the status page, metrics, probes, version. Stands behind a listener of its own, for the operator's network.
package final class AdminPages: RequestHandler {
    private let source: AdminSource
    private let isLoopback: Bool
    /// Nil: nothing can be changed here.
    private let control: AdminControl?
    private let eventLoop: any EventLoop

    /// - Parameters:
    ///   - isLoopback: whether the listener's address is.
    ///   - control: where whoever reaches the listener may change something.
    ///   - eventLoop: where requests come and answers go.
    package init(
        _ source: AdminSource, isLoopback: Bool, control: AdminControl? = nil, eventLoop: any EventLoop
    ) {
        self.source = source
        self.isLoopback = isLoopback
        self.control = control
        self.eventLoop = eventLoop
    }

    package func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient) {
        if let refusal = refusal(of: request) { return recipient.answered(Response(.refusal(refusal), region: nil)) }
        let promise = eventLoop.makePromise(of: Page.self)
        let (source, control) = (source, control)
        promise.completeWithTask {
            if let control, AdminVerbs.paths.contains(request.path) {
                return try AdminVerbs.page(request.path, Array(request.content.readableBytesView), control)
            }
            return try await Self.page(request, source)
        }
        promise.futureResult.assumeIsolated().whenComplete { result in
            // It fails where the event loops that it asks are being shut down.
            let page = (try? result.get()) ?? .text("the gateway is stopping\n", status: 503)
            recipient.answered(Response(.page(page), region: nil))
        }
    }

    package func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal? { refusal(of: request) }

    package func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) {}

    private func refusal(of request: InboundRequest) -> Refusal? {
        let isVerb = control != nil && AdminVerbs.paths.contains(request.path)
        let methods: [RequestHead.Method] = isVerb ? [.post] : [.get, .head]
        guard methods.contains(request.head.method) else {
            var refusal = Refusal(.methodNotAllowed, "only \(isVerb ? "POST" : "GET") is allowed here")
            refusal.allow = isVerb ? "POST" : "GET, HEAD"
            return refusal
        }
        guard isHostExpected(request) else {
            return Refusal(
                .notAllowed,
                "field `Host` names another machine; expected "
                    + (isLoopback ? "a loopback address or `localhost`" : "an IP address or `localhost`"))
        }
        return nil
    }

    /// A web page whose own name was made to lead here (DNS rebinding) sends that name, and could read what is answered. Scrapers and
    /// probes may go by any name that is not loopback; they read nothing of users. HTTP/1.0 without the field is what HAProxy's probes
    /// speak, and no browser.
    private func isHostExpected(_ request: InboundRequest) -> Bool {
        guard request.head.authority != nil else { return true }
        if isLoopback { return request.isForLoopback }
        return request.isForAddressOrLoopback || ["/metrics", "/livez", "/readyz", "/version"].contains(request.path)
    }

    // MARK: Pages

    private static func page(_ request: InboundRequest, _ source: AdminSource) async throws -> Page {
        switch request.path {
        case "/metrics":
            let format = MetricsPage.Format(accept: request.head.accept.map(request.text))
            let text = try await source.metrics().render(format)
            return Page(contentType: format.contentType, content: ByteBuffer(string: text))
        case "/livez": return .text("alive\n")
        case "/readyz":
            let readiness = try await source.readiness()
            return try .json(readiness, status: readiness.ready ? 200 : 503)
        case "/version":
            let build = source.build
            return try .json(["version": build.version, "revision": build.revision, "swift": build.swift])
        case "/api/gone-users": return try .json(GoneUsers(source.goneUsers()))
        case "/api/status": return try .json(try await source.status())
        case let path: return StatusPage.file(path) ?? .text("not found\n", status: 404)
        }
    }

    /// So that the operator can clean up the user list.
    private struct GoneUsers: Encodable {
        struct User: Encodable {
            var userID: String
            var skill: String

            enum CodingKeys: String, CodingKey {
                case userID = "userId"
                case skill
            }
        }

        var users: [User]

        init(_ users: [UserRegions.GoneUser]) {
            self.users = users.map { User(userID: $0.userID, skill: $0.skill) }
        }
    }
}

extension Page {
    static func text(_ text: String, status: Int = 200) -> Page {
        Page(status: status, contentType: "text/plain; charset=utf-8", content: ByteBuffer(string: text))
    }

    static func json(_ value: some Encodable, status: Int = 200) throws -> Page {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var page = Page(
            status: status, contentType: "application/json; charset=utf-8",
            content: ByteBuffer(bytes: try encoder.encode(value)))
        page.fieldLines = "Cache-Control: no-store\r\n"
        return page
    }
}
