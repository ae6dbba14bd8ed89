import Yams

/// A member of the configuration, declared once. Reading, `check --print` and the check of what needs a restart come from it, and so do the
/// table in `Docs/Configuration.md`, `Config/reference.yaml` and the JSON Schema.
///
/// `Owner` is what the mapping it stands in is read into.
struct ConfigurationOption<Owner> {
    let name: String
    /// What is written about it, given an owner that holds the defaults.
    let describe: (Owner) -> OptionDescription
    /// Takes the member over into the owner, and notes what is wrong with it.
    let read: (ConfigurationSection, inout Owner) -> Void
    /// The member as it is in force, without secrets; nil: there is none.
    let node: (Owner) -> Node?
    /// Whether a running gateway can go over from one to the other.
    let needsNoRestart: (Owner, Owner) -> Bool
}

extension [Node] {
    var list: Node { .sequence(.init(self)) }
}

extension Node {
    static var redacted: Node { Node("redacted") }

    /// Members without a value are left out.
    static func mapping<Owner>(_ options: [ConfigurationOption<Owner>], of owner: Owner) -> Node {
        .mapping(.init(options.compactMap { option in option.node(owner).map { (Node(option.name), $0) } }))
    }
}

extension ConfigurationOption {
    /// A member that is read into one place of the owner.
    ///
    /// - Parameters:
    ///   - defaultText: how the default is written, if it is the documentation's to tell.
    ///   - read: its value; nil where it is missing or wrong, and then the default stays.
    private init<Value: Equatable>(
        _ description: OptionDescription, _ path: WritableKeyPath<Owner, Value>,
        defaultText: @escaping (Value) -> String? = { _ in nil },
        read: @escaping (ConfigurationSection) -> Value?, node: @escaping (Value) -> Node?
    ) {
        self.init(
            name: description.name,
            describe: { owner in
                var description = description
                description.default = defaultText(owner[keyPath: path])
                return description
            },
            read: { section, owner in
                if let value = read(section) { owner[keyPath: path] = value }
            },
            node: { owner in node(owner[keyPath: path]) },
            needsNoRestart: { description.reloads || $0[keyPath: path] == $1[keyPath: path] })
    }
}

extension ConfigurationOption {
    /// The same, printed only where it means something.
    func printed(where isInForce: @escaping (Owner) -> Bool) -> Self {
        let node = node
        return Self(
            name: name, describe: describe, read: read, node: { isInForce($0) ? node($0) : nil },
            needsNoRestart: needsNoRestart)
    }
}

// MARK: Scalars

extension ConfigurationOption {
    /// A scalar with a default, which is what the owner holds at first.
    ///
    /// - Parameters:
    ///   - otherwise: what is in force at first, where that cannot be written.
    ///   - reloads: whether it can change while the gateway runs.
    static func value<Value: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, Value>, _ kind: ConfigurationValue<Value>, _ help: String,
        otherwise: String? = nil, example: String? = nil, reloads: Bool = false
    ) -> Self {
        Self(
            OptionDescription(
                name, .value(kind.type, kind.schema), help, otherwise: otherwise, example: example, reloads: reloads),
            path, defaultText: kind.text, read: { $0.value(name, kind) }, node: { kind.text($0).map { Node($0) } })
    }

    /// A scalar without which there is no configuration.
    static func required<Value: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, Value>, _ kind: ConfigurationValue<Value>, _ help: String,
        example: String
    ) -> Self {
        Self(
            OptionDescription(name, .value(kind.type, kind.schema), help, isRequired: true, example: example), path,
            read: { $0.required(name, kind) }, node: { kind.text($0).map { Node($0) } })
    }

    /// A scalar that may be left out.
    ///
    /// - Parameter otherwise: what is in force then.
    static func optional<Value: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, Value?>, _ kind: ConfigurationValue<Value>, _ help: String,
        otherwise: String? = nil, example: String
    ) -> Self {
        Self(
            OptionDescription(name, .value(kind.type, kind.schema), help, otherwise: otherwise, example: example), path,
            read: { $0.value(name, kind).map(Optional.some) }, node: { $0.flatMap(kind.text).map { Node($0) } })
    }

    /// The path of a file, which is resolved against the folder of the configuration.
    ///
    /// - Parameter check: what is wrong with the file; nil if nothing is.
    static func file(
        _ name: String, _ path: WritableKeyPath<Owner, String?>, _ what: String, _ help: String,
        otherwise: String? = nil, example: String, check: ((ConfigurationReader, _ file: String) -> String?)? = nil
    ) -> Self {
        let kind = ConfigurationValue<String>.path(of: what)
        return Self(
            OptionDescription(name, .value(kind.type, kind.schema), help, otherwise: otherwise, example: example), path,
            read: { section in
                guard let file = section.value(name, kind).map(section.reader.path) else { return nil }
                if let mistake = check?(section.reader, file) { section.report("`\(name)`: \(mistake)", at: name) }
                return file
            }, node: { $0.map { Node($0) } })
    }

    static func requiredFile(
        _ name: String, _ path: WritableKeyPath<Owner, String>, _ what: String, _ help: String, example: String
    ) -> Self {
        let kind = ConfigurationValue<String>.path(of: what)
        return Self(
            OptionDescription(name, .value(kind.type, kind.schema), help, isRequired: true, example: example), path,
            read: { section in section.required(name, kind).map(section.reader.path) }, node: { Node($0) })
    }

    /// Scalars in a list.
    static func values<Value: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, [Value]>, _ kind: ConfigurationValue<Value>, _ help: String,
        isRequired: Bool = false, example: String? = nil
    ) -> Self {
        Self(
            OptionDescription(
                name, .value("list of \(kind.plural)", .list(of: kind.schema)), help, isRequired: isRequired,
                example: example),
            path,
            defaultText: { values in
                values.isEmpty ? nil : "[\(values.compactMap(kind.text).joined(separator: ", "))]"
            },
            read: { section in
                if isRequired && !section.has(name) {
                    section.reportMissing(name, expected: "a list of \(kind.plural)")
                }
                return section.has(name) ? section.values(name, kind) : nil
            },
            node: { $0.isEmpty && !isRequired ? nil : $0.compactMap(kind.text).map { Node($0) }.list })
    }
}

extension ConfigurationOption {
    /// Elements of several kinds in a list.
    ///
    /// - Parameters:
    ///   - expected: what an element is.
    ///   - node: an element as it is written.
    ///   - parse: nil for what is none.
    static func elements<Value: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, [Value]>, type: String, expected: String, schema: JSONSchema,
        _ help: String, node: @escaping (Value) -> Node, text: @escaping (Value) -> String,
        parse: @escaping (Node) -> Value?
    ) -> Self {
        Self(
            OptionDescription(name, .value("list of \(type)", .list(of: schema)), help), path,
            defaultText: { "[\($0.map(text).joined(separator: ", "))]" },
            read: { $0.has(name) ? $0.elements(name, expected: expected, parse) : nil },
            node: { $0.map(node).list })
    }
}

// MARK: Secrets

extension ConfigurationOption {
    /// A reference to a secret.
    static func secret(
        _ name: String, _ path: WritableKeyPath<Owner, String?>, _ help: String, example: String
    ) -> Self {
        Self(
            OptionDescription(name, .value("secret", .secret), help, example: "{file: \(example)}"), path,
            // What is missing leaves what is there.
            read: { $0.secret(name).map(Optional.some) }, node: { $0.map { _ in .redacted } })
    }

    static func requiredSecret(
        _ name: String, _ path: WritableKeyPath<Owner, String>, _ help: String, example: String
    ) -> Self {
        Self(
            OptionDescription(
                name, .value("secret", .secret), help, isRequired: true, example: "{file: \(example)}"),
            path, read: { $0.requiredSecret(name) }, node: { _ in .redacted })
    }

    /// References to secrets, or what a mapping may hold instead.
    static func secrets<Value: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, [Value]>, type: String, schema: JSONSchema = .secret,
        _ help: String, isRequired: Bool = false, example: String, isExampleShown: Bool = false,
        node: @escaping (Value) -> Node = { _ in .redacted }, read: @escaping (ConfigurationSection) -> Value?
    ) -> Self {
        var description = OptionDescription(
            name, .value("list of \(type)", .list(of: schema)), help, isRequired: isRequired, example: example)
        description.isExampleShown = isExampleShown
        return Self(
            description, path,
            read: { section in
                if isRequired && !section.has(name) {
                    section.reportMissing(name, expected: "a list of {file: …} or {env: …}")
                }
                return section.has(name) ? section.sections(name, read) : nil
            }, node: { $0.isEmpty ? nil : $0.map(node).list })
    }
}

// MARK: Mappings

extension ConfigurationOption {
    /// Members that belong together and are the owner's own. They may all come from the environment.
    ///
    /// - Parameters:
    ///   - isInForce: whether it means something in a configuration.
    ///   - check: looks at what no member can tell alone.
    static func section(
        _ name: String, isInForce: @escaping (Owner) -> Bool = { _ in true }, _ options: [ConfigurationOption<Owner>],
        check: @escaping (ConfigurationSection, inout Owner) -> Void = { _, _ in }
    ) -> Self {
        Self(
            name: name,
            describe: { owner in
                OptionDescription(
                    name, .section(options.map { $0.describe(owner) }), isOptionalSection: !isInForce(owner))
            },
            read: { section, owner in
                section.section(name) { section in
                    for option in options { option.read(section, &owner) }
                    check(section, &owner)
                }
            },
            node: { owner in
                let node = Node.mapping(options, of: owner)
                return isInForce(owner) && node.mapping?.isEmpty == false ? node : nil
            },
            needsNoRestart: { one, other in options.allSatisfy { $0.needsNoRestart(one, other) } })
    }

    /// A mapping that may be left out, and makes a value of its own.
    ///
    /// - Parameters:
    ///   - begin: makes the value whose members are read; nil: `new`.
    ///   - check: looks at what was read, with what was read before it in the owner.
    static func optionalSection<Value: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, Value?>, new: Value, reloads: Bool = false,
        begin: ((ConfigurationSection) -> Value)? = nil, _ options: [ConfigurationOption<Value>],
        check: @escaping (ConfigurationSection, inout Value, Owner) -> Void = { _, _, _ in }
    ) -> Self {
        Self(
            name: name,
            describe: { _ in
                OptionDescription(
                    name, .section(options.map { $0.describe(new) }), isOptionalSection: true, reloads: reloads)
            },
            read: { section, owner in
                guard section.has(name) else { return }
                owner[keyPath: path] = section.section(name) { section in
                    section.value(begin?(section) ?? new, options, check, owner)
                }
            },
            node: { owner in owner[keyPath: path].map { .mapping(options, of: $0) } },
            needsNoRestart: { reloads || $0[keyPath: path] == $1[keyPath: path] })
    }

    /// Mappings in a list.
    ///
    /// - Parameters:
    ///   - missing: what is expected if there is no list; nil: it may be left out.
    ///   - isExampleShown: whether the file to copy from has one.
    ///   - check: looks at an element that was read, with those before it in the owner.
    static func list<Element: Equatable>(
        _ name: String, _ path: WritableKeyPath<Owner, [Element]>, new: Element, missing: String? = nil,
        isExampleShown: Bool = true, reloads: Bool = false, _ options: [ConfigurationOption<Element>],
        check: @escaping (ConfigurationSection, inout Element, Owner) -> Void = { _, _, _ in }
    ) -> Self {
        Self(
            name: name,
            describe: { _ in
                OptionDescription(
                    name, .list(options.map { $0.describe(new) }), isRequired: missing != nil,
                    isOptionalSection: !isExampleShown, reloads: reloads)
            },
            read: { section, owner in
                guard section.has(name) else {
                    if let missing { section.reportMissing(name, expected: missing) }
                    return
                }
                owner[keyPath: path] = []
                section.sections(name) { section in
                    owner[keyPath: path].append(section.value(new, options, check, owner))
                }
            },
            node: { owner in owner[keyPath: path].map { .mapping(options, of: $0) }.list },
            needsNoRestart: { reloads || $0[keyPath: path] == $1[keyPath: path] })
    }
}

extension ConfigurationSection {
    /// What the members make of a new value.
    fileprivate func value<Value, Owner>(
        _ new: Value, _ options: [ConfigurationOption<Value>],
        _ check: (ConfigurationSection, inout Value, Owner) -> Void, _ owner: Owner
    ) -> Value {
        var value = new
        for option in options { option.read(self, &value) }
        check(self, &value, owner)
        return value
    }
}
