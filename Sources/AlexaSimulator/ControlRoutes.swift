import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// What a test or a developer looks at and turns: everything below `/_simulator`.
struct ControlRoutes {
    let amazon: SimulatedAmazon

    func add(to router: Router<SimulatorContext>) {
        let control = router.group("_simulator")
        control.get("messages") { request, _ in
            if let newest = Self.newest(request) { return try Self.json(amazon.newestMessages(newest)) }
            var messages = amazon.messages
            if let userId = request.uri.queryParameters.get("userId") {
                messages = messages.filter { $0.userId == userId }
            }
            return try Self.json(messages)
        }
        control.delete("messages") { _, _ in
            amazon.forgetMessages()
            return Response(status: .noContent)
        }
        control.get("deliveries") { request, _ in
            // All of them in order, or the newest few.
            guard let newest = Self.newest(request) else { return try Self.json(amazon.deliveries.deliveries) }
            return try Self.json(amazon.deliveries.newest(newest))
        }
        control.get("counters") { _, _ in try Self.json(amazon.counters) }
        control.get("faults") { _, _ in try Self.json(amazon.faults) }
        control.put("faults") { request, _ in
            let content = Data(try await request.body.collect(upTo: 64 * 1024).readableBytesView)
            do {
                let value = try JSONDecoder().decode(JSONValue.self, from: content)
                if let member = Faults.unknownMember(in: value) {
                    return SimulatedResponse(400, message: "there is no member `\(member)`").response
                }
                let faults = try JSONDecoder().decode(Faults.self, from: content)
                if let impossible = faults.impossibleValue {
                    return SimulatedResponse(400, message: impossible).response
                }
                amazon.setFaults(faults)
                return try Self.json(amazon.faults)
            } catch let error as DecodingError {
                return SimulatedResponse(400, message: "the faults cannot be read: \(error.inWords)").response
            }
        }
        control.delete("faults") { _, _ in
            amazon.setFaults(Faults())
            return Response(status: .noContent)
        }
        control.post("tokens/revoke") { _, _ in try Self.json(["revoked": amazon.revokeTokens()]) }
        control.put("users/:userId") { request, context in
            struct Home: Decodable { var region: SimulatedRegion? }
            let content = Data(try await request.body.collect(upTo: 4096).readableBytesView)
            let userId = context.parameters.get("userId") ?? ""
            guard let home = try? JSONDecoder().decode(Home.self, from: content) else {
                return SimulatedResponse(400, message: "expected {\"region\": \"NA\" | \"EU\" | \"FE\" | null}")
                    .response
            }
            amazon.setHome(of: userId.percentDecoded(), to: home.region)
            return Response(status: .noContent)
        }
        control.put("clients/:clientID") { request, context in
            struct Client: Decodable { var secrets: [String] }
            let content = Data(try await request.body.collect(upTo: 4096).readableBytesView)
            guard let client = try? JSONDecoder().decode(Client.self, from: content) else {
                return SimulatedResponse(400, message: "expected {\"secrets\": [\"…\"]}").response
            }
            amazon.setSecrets(client.secrets, of: context.parameters.get("clientID") ?? "")
            return Response(status: .noContent)
        }
    }

    /// How many are asked for, of the newest; nil: all of them.
    private static func newest(_ request: Request) -> Int? {
        request.uri.queryParameters.get("newest").flatMap { Int($0) }.map { min(max(0, $0), 1000) }
    }

    private static func json(_ value: some Encodable) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let content = String(decoding: try encoder.encode(value), as: UTF8.self)
        return Response(
            status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: .init(string: content)))
    }
}
