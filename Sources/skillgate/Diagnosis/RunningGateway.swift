import FoundationEssentials
import TokenEndpointClient

/// What a gateway that runs says of itself: what `doctor` takes from its `/api/status`.
struct RunningGateway: Decodable {
    struct Region: Decodable {
        var name: String
        var inFlightLimit: Int
        var inFlightMaximum: Int
        var skillLimits: [String: Int]
    }

    var host: String
    var state: String
    var reasons: [String]
    var regions: [Region]

    struct StatusError: Error, CustomStringConvertible {
        var description: String
    }

    /// - Parameter request: for `/api/status` of its admin listener.
    static func ask(_ request: HTTPTransfer) async throws(StatusError) -> RunningGateway {
        let url = request.url
        let response: HTTPTransfer.Response
        do {
            response = try await request.perform()
        } catch {
            throw StatusError(description: error.problem(reaching: url))
        }
        if response.status == 401 {
            throw StatusError(
                description: "\(url) wants the key of one of `admin.operators` (--operator-key-file)")
        }
        if response.status == 403 { throw StatusError(description: "\(url) is refused: \(response.text)") }
        guard response.status == 200,
            let gateway = try? JSONDecoder().decode(RunningGateway.self, from: Data(response.content))
        else {
            throw StatusError(
                description: "\(url) is not the status of a gateway of this version (status \(response.status))")
        }
        return gateway
    }

    /// Limits that have shrunk since Amazon complained, a sentence each.
    var shrunkLimits: [String] {
        regions.flatMap { region in
            let own =
                region.inFlightLimit < region.inFlightMaximum
                ? [
                    "the in-flight limit to region \(region.name) is \(region.inFlightLimit) of "
                        + "\(region.inFlightMaximum), lowered after 503s and timeouts"
                ] : []
            return own
                + region.skillLimits.sorted { $0.key < $1.key }.map { skill, limit in
                    "skill \(skill) is limited to \(limit) messages in flight to region \(region.name), since Amazon "
                        + "answers 429 (too many messages)"
                }
        }
    }
}
