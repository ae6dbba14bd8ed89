/// What there is to say about an option, whoever owns it.
struct OptionDescription {
    enum Content {
        /// A scalar, a list of scalars, or a reference; the type as people read it.
        case value(_ type: String, JSONSchema)
        case section([OptionDescription])
        /// Mappings in a list.
        case list([OptionDescription])
    }

    var name: String
    var content: Content
    /// What it means, in a few words of Markdown.
    var help = ""
    var isRequired = false
    /// As one would write it.
    var `default`: String?
    /// What is in force where it is left out and there is no default one could write.
    var otherwise: String?
    /// A value for the reference file, where there is no default.
    var example: String?
    /// Whether the example stands in the reference file without being commented out.
    var isExampleShown = false
    /// Whether the mapping may be left out, with everything in it.
    var isOptionalSection = false
    /// Whether it can change while the gateway runs.
    var reloads = false

    init(
        _ name: String, _ content: Content, _ help: String = "", isRequired: Bool = false, default: String? = nil,
        otherwise: String? = nil, example: String? = nil, isOptionalSection: Bool = false, reloads: Bool = false
    ) {
        self.name = name
        self.content = content
        self.help = help
        self.isRequired = isRequired
        self.default = `default`
        self.otherwise = otherwise
        self.example = example
        self.isOptionalSection = isOptionalSection
        self.reloads = reloads
    }
}

extension GatewayConfiguration {
    /// Every option, in the order of the file.
    static var optionDescriptions: [OptionDescription] { options.map { $0.describe(Self()) } }
}
