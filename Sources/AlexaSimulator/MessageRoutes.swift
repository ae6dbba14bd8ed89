import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// The Skill Messaging API of one region, as strict as its documentation.
struct MessageRoutes {
    let amazon: SimulatedAmazon
    let misbehaviour: FaultInjector
    let region: SimulatedRegion
    /// Nil: nothing is delivered.
    let deliverer: MessageDeliverer?

    func add(to router: Router<SimulatorContext>) {
        let prefix = region.rawValue.lowercased()
        router.post("\(prefix)/v1/skillmessages/users/:userId") { request, context in
            try await misbehaviour.answer(.region(region), context) {
                let content = try await request.body.collect(upTo: 256 * 1024)
                let userId = context.parameters.get("userId") ?? ""
                return answer(request, userId: userId.percentDecoded(), Data(content.readableBytesView))
            }
        }
        for method in [HTTPRequest.Method.get, .put, .delete, .patch] {
            router.on("\(prefix)/v1/skillmessages/users/:userId", method: method) { _, _ in
                SimulatedResponse(405, message: "only POST").response
            }
        }
    }

    private func answer(_ request: Request, userId: String, _ content: Data) -> SimulatedResponse {
        amazon.messageReceived(region)
        var answer = judge(request, userId: userId, content)
        answer.requestID = answer.requestID ?? UUID().uuidString.lowercased()
        if answer.status != 202 { amazon.messageRefused(region, status: answer.status) }
        return answer
    }

    private func judge(_ request: Request, userId: String, _ content: Data) -> SimulatedResponse {
        let authorization = request.headers[.authorization] ?? ""
        guard authorization.hasPrefix("Bearer "),
            let clientID = amazon.client(ofToken: String(authorization.dropFirst(7)))
        else { return SimulatedResponse(403, message: "The access token is expired or not valid.") }
        guard request.headers[.contentType]?.lowercased().hasPrefix("application/json") == true else {
            return SimulatedResponse(400, message: "Content-Type is not application/json")
        }
        let message: JSONValue
        do {
            message = try JSONDecoder().decode(JSONValue.self, from: content)
        } catch {
            return SimulatedResponse(400, message: "The content is not JSON")
        }
        guard case .object(let members) = message else {
            return SimulatedResponse(400, message: "The content is not an object")
        }
        guard case .object(let data) = members["data"] else {
            return SimulatedResponse(400, message: "data is missing or not an object")
        }
        if let problem = problem(with: data) { return SimulatedResponse(400, message: problem) }
        var expiry = 3600
        if let member = members["expiresAfterSeconds"] {
            guard case .integer(let seconds) = member, (60...86_400).contains(seconds) else {
                return SimulatedResponse(400, message: "expiresAfterSeconds is not an integer from 60 to 86400")
            }
            expiry = seconds
        }
        guard let home = amazon.home(of: userId) else {
            return SimulatedResponse(404, message: "There is no such user")
        }
        guard home == region else {
            return SimulatedResponse(
                amazon.faults.unknowns?.wrongRegionStatus ?? 404, message: "There is no such user here")
        }
        var answer = SimulatedResponse(202)
        let requestID = UUID().uuidString.lowercased()
        answer.requestID = requestID
        let accepted = AcceptedMessage(
            region: region, userId: userId, requestId: requestID, clientId: clientID, data: .object(data),
            expiresAfterSeconds: expiry,
            traceparent: HTTPField.Name("traceparent").flatMap { request.headers[$0] })
        amazon.accept(accepted)
        deliverer?.accepted(accepted)
        return answer
    }

    private func problem(with data: [String: JSONValue]) -> String? {
        let unknowns = amazon.faults.unknowns
        if unknowns?.acceptsOtherValues != true {
            for (name, value) in data {
                guard case .string = value else { return "data.\(name) is not a string" }
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let compact = try? encoder.encode(data) else { return "data cannot be read" }
        let size =
            unknowns?.dataCountedIn == .characters
            ? String(decoding: compact, as: UTF8.self).unicodeScalars.count : compact.count
        let limit = unknowns?.dataLimit ?? 6144
        return size > limit ? "data is \(size) long, more than \(limit)" : nil
    }
}
