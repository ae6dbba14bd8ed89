extension String {
    /// What others have written may be part of it: it must not reach a terminal as more than characters.
    var oneLine: String {
        unicodeScalars.reduce(into: "") { line, scalar in
            let isControl = scalar.properties.generalCategory == .control || scalar.properties.isBidiControl
            line += isControl ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }
    }
}
