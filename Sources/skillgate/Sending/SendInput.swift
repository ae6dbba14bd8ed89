import Crypto
import GatewayCore
import NIOCore

/// One message that `skillgate send` sends: a line of its file, or what its options say.
struct SendInput: Sendable {
    /// What is wrong with a line.
    struct InputError: Error, CustomStringConvertible {
        var description: String
    }

    /// Counted from 1.
    let line: Int
    let userID: String
    let content: [UInt8]
    /// For so long Amazon tries to deliver it.
    let expirySeconds: Int
    private(set) var idempotencyKey: String
    /// What the message says and to whom, as a hash of its canonical form: where the user lives is no part of it.
    let contentHash: String
    /// Where it is to go, as it is stated.
    let route: String
    /// Idempotency keys are scoped to a skill.
    var name: String { SendResult.name(skill: skill, key: idempotencyKey) }
    /// What it says, whatever way it is written in; nil where it has a key of its own. Where the user lives is no part of it.
    let said: [UInt8]?
    let region: String?
    let apiEndpoint: String?
    let skill: String?

    private static let members = [
        "userId", "data", "expiresAfterSeconds", "idempotencyKey", "region", "apiEndpoint", "skill",
    ]

    /// Reads `{"userId": "…", "data": {…}}`, with `expiresAfterSeconds`, `idempotencyKey`, `region`, `apiEndpoint` and `skill` where
    /// they are wanted.
    ///
    /// A message without a key gets one derived from its content, so that sending the same file again sends nothing
    /// twice, even if its lines were moved or reformatted.
    init(line: Int, json: [UInt8]) throws(InputError) {
        let bytes = json.span
        var values: [String: Range<Int>] = [:]
        do {
            for (name, value) in try JSONMembers.all(of: bytes) {
                guard Self.members.contains(name) else {
                    throw InputError(
                        description: "unknown member `\(name)`\(ConfigurationReader.hint(name, Self.members))")
                }
                guard values.updateValue(value, forKey: name) == nil else {
                    throw InputError(description: "member `\(name)` is given twice")
                }
            }
        } catch let error as InputError {
            throw error
        } catch let error as MessageError {
            throw InputError(description: error.detail)
        } catch {
            throw InputError(description: "\(error)")
        }
        func text(_ name: String) throws(InputError) -> String? {
            guard let range = values[name] else { return nil }
            guard let text = try? JSONMembers.string(bytes, range), !text.isEmpty else {
                throw InputError(description: "member `\(name)` is not a string or is empty")
            }
            return text
        }
        guard let userID = try text("userId") else {
            throw InputError(description: "member `userId` is missing; expected the user to send to")
        }
        guard let data = values["data"] else {
            throw InputError(description: "member `data` is missing; expected an object of strings")
        }
        var content = Array("{\"data\":".utf8) + json[data]
        if let expiry = values["expiresAfterSeconds"] {
            content += Array(",\"expiresAfterSeconds\":".utf8) + json[expiry]
        }
        content += Array("}".utf8)
        self.line = line
        self.userID = userID
        self.content = content
        region = try text("region")
        apiEndpoint = try text("apiEndpoint")
        skill = try text("skill")
        expirySeconds = try Self.check(userID: userID, content: content, region: region, apiEndpoint: apiEndpoint)
        let named = skill.map { "\"skill\":\(JSONText.string($0))," } ?? ""
        let message =
            Array("{\"userId\":\(JSONText.string(userID)),\(named)\"message\":".utf8) + content + Array("}".utf8)
        guard let form = try? JSONMembers.canonicalForm(of: message.span) else {
            throw InputError(description: "the message is not valid JSON")
        }
        if let key = try text("idempotencyKey") {
            (idempotencyKey, said) = (key, nil)
        } else {
            (idempotencyKey, said) = (Self.key(form, occurrence: 0), form)
        }
        contentHash = Self.hash(form)
        route = "\(region ?? "") \(apiEndpoint ?? "")"
        try checkFields()
    }

    /// What the gateway would refuse, too.
    ///
    /// - Returns: for how many seconds Amazon tries to deliver it.
    private static func check(
        userID: String, content: [UInt8], region: String?, apiEndpoint: String?
    ) throws(InputError) -> Int {
        let expirySeconds: Int
        do throws(MessageError) {
            expirySeconds = try MessageValidator.validate(content.span).expirySecondsOrDefault
        } catch {
            throw InputError(description: error.detail)
        }
        do throws(UserIDError) {
            let segment = ByteBuffer(string: PercentEncoding.segment(userID))
            _ = try UserID(parsing: 0..<segment.readableBytes, of: segment)
        } catch {
            throw InputError(description: error.detail)
        }
        if let region, Region(name: region) == nil {
            throw InputError(description: "member `region` is \(JSONText.string(region)); expected NA, EU or FE")
        }
        if let apiEndpoint, (try? APIEndpoint(parsing: apiEndpoint)) == nil {
            throw InputError(
                description:
                    "member `apiEndpoint` is \(JSONText.string(apiEndpoint)); expected a URL as in a skill's request"
            )
        }
        return expirySeconds
    }

    /// What becomes a field of the request.
    private func checkFields() throws(InputError) {
        do throws(IdempotencyKeyError) {
            let field = ByteBuffer(string: StructuredString.quoted(idempotencyKey))
            _ = try IdempotencyKey(parsing: 0..<field.readableBytes, of: field)
        } catch {
            throw InputError(
                description: "member `idempotencyKey` is no key; expected 1 to \(IdempotencyKey.limitCharacters) "
                    + "visible ASCII characters or spaces")
        }
        if let skill, ConfigurationValue<String>.name.parse(skill) == nil {
            throw InputError(
                description:
                    "member `skill` is \(JSONText.string(skill)); expected \(ConfigurationValue<String>.name.expected)")
        }
        if region != nil && apiEndpoint != nil {
            throw InputError(description: "members `region` and `apiEndpoint` are both given; expected one")
        }
    }

    /// Gives it another key than the messages before it that say the same: whoever writes a line twice means it twice.
    mutating func distinguish(occurrence: Int) {
        if let said { idempotencyKey = Self.key(said, occurrence: occurrence) }
    }

    private static func key(_ form: [UInt8], occurrence: Int) -> String {
        "send-" + hash(Array("\(occurrence) ".utf8) + form)
    }

    private static func hash(_ bytes: [UInt8]) -> String {
        SHA256.hash(data: bytes).prefix(16).map(hexadecimal).joined()
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
