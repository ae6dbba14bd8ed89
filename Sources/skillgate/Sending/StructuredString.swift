/// Strings as values of fields.
enum StructuredString {
    /// RFC 9651 section 3.3.3. What is no visible ASCII is for the caller to refuse.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }
}
