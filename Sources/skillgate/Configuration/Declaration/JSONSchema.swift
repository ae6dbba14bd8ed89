import FoundationEssentials

/// A JSON Schema (draft 7, which the editors know), as far as a configuration needs it. A class, since a schema holds others.
final class JSONSchema: Encodable {
    enum Scalar: Encodable {
        case boolean(Bool)
        case integer(Int)
        case string(String)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .boolean(let value): try container.encode(value)
            case .integer(let value): try container.encode(value)
            case .string(let value): try container.encode(value)
            }
        }
    }

    var schema: String?
    var title: String?
    var description: String?
    var type: [String]?
    var `enum`: [String]?
    var pattern: String?
    var minLength: Int?
    var minimum: Int?
    var maximum: Int?
    var items: JSONSchema?
    var properties: [String: JSONSchema]?
    var required: [String]?
    var additionalProperties: Bool?
    var oneOf: [JSONSchema]?
    var `default`: Scalar?

    enum CodingKeys: String, CodingKey {
        case schema = "$schema"
        case title, description, type, `enum`, pattern, minLength, minimum, maximum, items, properties, required,
            additionalProperties, oneOf, `default`
    }

    init(_ types: String..., pattern: String? = nil, minLength: Int? = nil) {
        type = types.isEmpty ? nil : types
        self.pattern = pattern
        self.minLength = minLength
    }

    // MARK: Kinds

    static var string: JSONSchema { JSONSchema("string", minLength: 1) }
    /// What may be a number without quotes.
    static var text: JSONSchema { JSONSchema("string", "number", minLength: 1) }
    static var boolean: JSONSchema { JSONSchema("boolean") }

    static func integer(_ range: ClosedRange<Int>) -> JSONSchema {
        let schema = JSONSchema("integer")
        schema.minimum = range.lowerBound
        schema.maximum = range.upperBound
        return schema
    }

    static var ratio: JSONSchema {
        let schema = JSONSchema("number")
        schema.minimum = 0
        schema.maximum = 1
        return schema
    }

    static func choice(_ values: [String]) -> JSONSchema {
        let schema = JSONSchema()
        schema.enum = values
        return schema
    }

    static func list(of element: JSONSchema) -> JSONSchema {
        let schema = JSONSchema("array")
        schema.items = element
        return schema
    }

    static func mapping(_ properties: [String: JSONSchema], required: [String] = []) -> JSONSchema {
        let schema = JSONSchema("object")
        schema.properties = properties
        schema.required = required.isEmpty ? nil : required
        schema.additionalProperties = false
        return schema
    }

    static func one(of schemas: [JSONSchema]) -> JSONSchema {
        let schema = JSONSchema()
        schema.oneOf = schemas
        return schema
    }

    /// `{file: …}` or `{env: …}`.
    static var secret: JSONSchema {
        one(of: ["file", "env"].map { mapping([$0: text], required: [$0]) })
    }

    // MARK: Of options

    /// That of whole configuration files.
    static func document(_ options: [OptionDescription]) throws -> String {
        let root = mapping(options)
        root.schema = "http://json-schema.org/draft-07/schema#"
        root.title = "Configuration of Skillgate"
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(root), as: UTF8.self) + "\n"
    }

    private static func mapping(_ options: [OptionDescription]) -> JSONSchema {
        mapping(
            Dictionary(options.map { ($0.name, schema(of: $0)) }) { one, _ in one },
            required: options.filter(\.isRequired).map(\.name))
    }

    private static func schema(of option: OptionDescription) -> JSONSchema {
        switch option.content {
        case .section(let members): return mapping(members)
        case .list(let members): return list(of: mapping(members))
        case .value(_, let schema):
            schema.description = option.help.isEmpty ? nil : option.help
            schema.default = option.default.flatMap { scalar($0, like: schema) }
            return schema
        }
    }

    private static func scalar(_ text: String, like schema: JSONSchema) -> Scalar? {
        switch schema.type {
        case ["integer"], ["number"]: Int(text).map { .integer($0) }
        case ["boolean"]: .boolean(text == "true")
        case ["array"]: nil
        default: .string(text)
        }
    }
}
