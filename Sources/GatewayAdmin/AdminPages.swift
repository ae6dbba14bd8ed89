import FoundationEssentials
package import GatewayCore
package import NIOCore

/// The admin plane: the status page, metrics, probes, version. Stands behind a listener of its own, for the operator's network.
package final class AdminPages: RequestHandler {
    private static let forScrapers = ["/metrics", "/livez", "/readyz", "/version"]

    private let source: AdminSource
    private let isLoopback: Bool
    private let control: AdminControl
    /// Nil: whoever reaches the listener is an operator.
    private let access: AdminAccess?
    private let eventLoop: any EventLoop

    /// - Parameters:
    ///   - isLoopback: whether the listener's address is.
    ///   - access: nil: whoever reaches the listener may do everything.
    ///   - eventLoop: where requests come and answers go.
    package init(
        _ source: AdminSource, isLoopback: Bool, control: AdminControl, access: AdminAccess?, eventLoop: any EventLoop
    ) {
        self.source = source
        self.isLoopback = isLoopback
        self.control = control
        self.access = access
        self.eventLoop = eventLoop
    }

    package func handle(_ request: InboundRequest, from peer: Peer, to recipient: any ResponseRecipient) {
        let actor: AdminControl.Actor?
        do {
            actor = try admit(request, from: peer)
        } catch {
            return recipient.answered(Response(.refusal(error), region: nil))
        }
        let promise = eventLoop.makePromise(of: Page.self)
        let (source, control) = (source, control)
        promise.completeWithTask {
            if let actor, AdminVerbs.paths.contains(request.path) {
                return try AdminVerbs.page(
                    request.path, Array(request.content.readableBytesView), control, by: actor)
            }
            return try await Self.page(request, source)
        }
        promise.futureResult.assumeIsolated().whenComplete { result in
            // It fails where the event loops that it asks are being shut down.
            let page = (try? result.get()) ?? .text("the gateway is stopping\n", status: 503)
            recipient.answered(Response(.page(page), region: nil))
        }
    }

    package func refusal(beforeContentOf request: InboundRequest, from peer: Peer) -> Refusal? {
        do throws(Refusal) {
            _ = try admit(request, from: peer)
            return nil
        } catch {
            return error
        }
    }

    package func refused(_ problem: Problem, _ id: ExchangeID, from peer: Peer) {}

    /// - Returns: who may change something; nil: one who may see what is asked for.
    private func admit(_ request: InboundRequest, from peer: Peer) throws(Refusal) -> AdminControl.Actor? {
        let actor = try identify(request, from: peer)
        let isVerb = actor != nil && AdminVerbs.paths.contains(request.path)
        let methods: [RequestHead.Method] = isVerb ? [.post] : [.get, .head]
        guard methods.contains(request.head.method) else {
            var refusal = Refusal(.methodNotAllowed, "only \(isVerb ? "POST" : "GET") is allowed here")
            refusal.allow = isVerb ? "POST" : "GET, HEAD"
            throw refusal
        }
        // No browser reaches a Unix socket.
        if isVerb && access != nil { try refuseBrowsers(request) }
        return actor
    }

    private func identify(_ request: InboundRequest, from peer: Peer) throws(Refusal) -> AdminControl.Actor? {
        guard let access else {
            try checkHost(request)
            return AdminControl.Actor(name: nil, address: peer.addressText)
        }
        let sender = access.sender(of: request)
        if case .operator(let name) = sender { return AdminControl.Actor(name: name, address: peer.addressText) }
        let isOpen =
            switch access.openTo {
            case .everything: !(access.hasOperators && AdminVerbs.paths.contains(request.path))
            case .metrics: Self.forScrapers.contains(request.path)
            case nil: false
            }
        if AdminVerbs.paths.contains(request.path), request.head.method == .post, !access.hasOperators {
            throw Refusal(.notAllowed, "changes need one of `admin.operators`, or `admin.socket`")
        }
        // Credentials that are wrong are a mistake that shall be seen, and no scraper sends any that nobody expects.
        guard isOpen, sender == .anybody || !access.hasOperators else {
            throw access.refusal(of: sender, from: peer, now: eventLoop.now)
        }
        try checkHost(request)
        return nil
    }

    /// A page that an operator visits could send a request with the credentials that the browser keeps. Browsers add `Origin` to it, and ask
    /// before they send content of this type to another site.
    private func refuseBrowsers(_ request: InboundRequest) throws(Refusal) {
        guard request.head.origin == nil else {
            throw Refusal(.notAllowed, "the request comes from a web page (`Origin`); nothing can be changed by one")
        }
        let type = request.head.contentType.map { request.text($0).lowercased() } ?? ""
        guard type == "application/json" || type.hasPrefix("application/json;") else {
            throw Refusal(.fieldInvalid, "expected `Content-Type: application/json`")
        }
    }

    /// A web page whose own name was made to lead here (DNS rebinding) sends that name, and could read what is answered. Scrapers and
    /// probes may go by any name that is not loopback; they read nothing of users. HTTP/1.0 without the field is what HAProxy's probes
    /// speak, and no browser.
    private func checkHost(_ request: InboundRequest) throws(Refusal) {
        guard request.head.authority != nil else { return }
        let isExpected =
            isLoopback
            ? request.isForLoopback : request.isForAddressOrLoopback || Self.forScrapers.contains(request.path)
        guard !isExpected else { return }
        throw Refusal(
            .notAllowed,
            "field `Host` names another machine; expected "
                + (isLoopback ? "a loopback address or `localhost`" : "an IP address or `localhost`"))
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
