import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// What the simulated service answers before anything goes wrong with it.
struct SimulatedResponse: Sendable {
    var status: Int
    var content: String
    var contentType: String?
    var requestID: String?
    var retryAfter: Int?

    init(_ status: Int, json: JSONValue) {
        self.status = status
        content = (try? String(decoding: JSONEncoder().encode(json), as: UTF8.self)) ?? "{}"
        contentType = "application/json"
    }

    /// Without content.
    init(_ status: Int) {
        self.status = status
        content = ""
    }

    /// The error format of the messaging API.
    init(_ status: Int, message: String) {
        self.init(status, json: .object(["message": .string(message)]))
    }

    var response: Response {
        var fields = HTTPFields()
        if let contentType { fields[.contentType] = contentType }
        if let requestID, let name = HTTPField.Name("X-Amzn-RequestId") { fields[name] = requestID }
        if let retryAfter { fields[.retryAfter] = String(retryAfter) }
        return Response(status: .init(code: status), headers: fields, body: .init(byteBuffer: .init(string: content)))
    }

    /// The same answer, its content a byte at a time.
    var drippingResponse: Response {
        var response = response
        let bytes = Array(content.utf8)
        response.body = ResponseBody(contentLength: bytes.count) { writer in
            for byte in bytes {
                try await writer.write(ByteBuffer(bytes: [byte]))
                try await Task.sleep(for: .milliseconds(100))
            }
            try await writer.finish(nil)
        }
        return response
    }
}
