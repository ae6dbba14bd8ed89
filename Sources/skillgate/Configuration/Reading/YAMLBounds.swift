/// Limits of the text of a configuration, checked before anything is made of it: aliases stand for all that they name, so that a
/// short text can be an endless one.
enum YAMLBounds {
    static let maximumAliases = 16
    static let maximumFlowDepth = 32
    static let maximumIndentation = 200
    static let maximumDashes = 16

    struct Violation: Equatable {
        var text: String
        /// Both counted from 1.
        var line: Int
        var column: Int
    }

    /// The first rule that is broken. Quotes, comments and block texts are not told from the rest: the limits are far above what
    /// a configuration needs.
    static func violation(in yaml: String) -> Violation? {
        var scan = Scan()
        for scalar in yaml.unicodeScalars {
            if let text = scan.take(scalar) { return Violation(text: text, line: scan.line, column: scan.column) }
        }
        return nil
    }

    private struct Scan {
        var line = 1
        var column = 0
        private var previous: Unicode.Scalar = "\n"
        private var isIndentation = true
        private var dashes = 0
        private var depth = 0
        private var aliases = 0

        mutating func take(_ scalar: Unicode.Scalar) -> String? {
            defer { previous = scalar }
            if previous == "\n" && column > 0 { (line, column, isIndentation, dashes) = (line + 1, 0, true, 0) }
            column += 1
            if let text = control(scalar) { return text }
            switch scalar {
            case "[", "{":
                depth += 1
                if depth > maximumFlowDepth { return "brackets are nested more than \(maximumFlowDepth) deep" }
            case "]", "}": depth = max(0, depth - 1)
            default:
                if previous == "*" && isName(scalar) && isCounted {
                    aliases += 1
                    if aliases > maximumAliases { return "there are more than \(maximumAliases) aliases (`*name`)" }
                }
            }
            isCounted = scalar == "*" && startsToken
            return indentation(scalar)
        }

        /// Whether the `*` before this character may begin an alias.
        private var isCounted = false

        private var startsToken: Bool { " \t\n[{,:-?".unicodeScalars.contains(previous) }

        private func isName(_ scalar: Unicode.Scalar) -> Bool { !" \t\r\n".unicodeScalars.contains(scalar) }

        private mutating func indentation(_ scalar: Unicode.Scalar) -> String? {
            guard isIndentation else { return nil }
            switch scalar {
            case " ": break
            case "-", "?":
                dashes += 1
                if dashes > maximumDashes { return "lists are nested more than \(maximumDashes) deep in one line" }
            default: isIndentation = false
            }
            return column > maximumIndentation && isIndentation
                ? "the line is indented by more than \(maximumIndentation) columns" : nil
        }

        /// What YAML does not take, and terminals should not get.
        private func control(_ scalar: Unicode.Scalar) -> String? {
            switch scalar.value {
            case 0x09, 0x0A, 0x0D, 0x20..<0x7F, 0x85, 0xA0...: nil
            default:
                "there is a control character, U+" + String(scalar.value, radix: 16, uppercase: true).leftPadded(to: 4)
            }
        }
    }
}

extension String {
    fileprivate func leftPadded(to length: Int) -> String {
        String(repeating: "0", count: max(0, length - count)) + self
    }
}
