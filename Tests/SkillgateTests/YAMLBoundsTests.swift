import Testing

@testable import skillgate

struct YAMLBoundsTests {
    private func violation(_ yaml: String) -> String? {
        YAMLBounds.violation(in: yaml).map { "\($0.line):\($0.column) \($0.text)" }
    }

    @Test(arguments: [
        "", "a: b\n", "a: &x [1]\nb: *x\n", "- - - a\n", "a: 'b*c*d'\nc: [*.example.org, \"*\"]\n",
        "a:\r\n\tb: \u{e9}\u{85}\n",
        String(repeating: "[", count: 32) + String(repeating: "]", count: 32),
        "# * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x",
    ])
    func `what a configuration needs is within the bounds`(yaml: String) {
        #expect(violation(yaml) == nil)
    }

    @Test func `brackets that are closed are not counted again`() {
        #expect(violation(String(repeating: "a: [{b: c}]\n", count: 10_000)) == nil)
    }

    @Test func `aliases are counted, and a chain of them ends there`() {
        var chain = "a0: &a0 [x]\n"
        for number in 1..<47_700 { chain += "a\(number): &a\(number) [*a\(number - 1)]\n" }
        #expect(violation(chain) == "18:13 there are more than 16 aliases (`*name`)")
        #expect(violation("a: [" + String(repeating: "*x,", count: 16) + "]") == nil)
        #expect(violation("a: [" + String(repeating: "*x,", count: 17) + "]") != nil)
    }

    @Test func `nesting is bounded in each way there is`() {
        #expect(violation(String(repeating: "[", count: 33)) == "1:33 brackets are nested more than 32 deep")
        #expect(
            violation("a:\n" + String(repeating: "- ", count: 17) + "x")?.hasPrefix("2:33 lists are nested") == true)
        #expect(violation("a:\n" + String(repeating: " ", count: 201) + "b: c")?.hasPrefix("2:201 the line is") == true)
    }

    @Test(arguments: [
        ("a: b\nc: \u{1}d", "2:4 there is a control character, U+0001"),
        ("\u{7f}", "1:1 there is a control character, U+007F"),
        ("a\u{1b}[31m", "1:2 there is a control character, U+001B"),
    ])
    func `a control character is named, and where it stands`(yaml: String, text: String) {
        #expect(violation(yaml) == text)
    }
}
