import NIOCore
import Testing

@testable import GatewayCore

struct TraceContextTests {
    private static let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    private func parse(_ text: String) -> TraceContext? {
        let bytes = ByteBuffer(string: text)
        return TraceContext(parsing: bytes.readableBytesUInt8Span, 0..<bytes.readableBytes)
    }

    @Test func `a valid field is read, and written again`() throws {
        let trace = try #require(parse(Self.valid))
        #expect(trace.id.text == "0af7651916cd43dd8448eb211c80319c")
        #expect(trace.parentID == 0xb7ad_6b71_6920_3331)
        var text = ByteBuffer()
        trace.writeMembers(withSpan: true, to: &text)
        #expect(
            String(buffer: text)
                == #","traceID":"0af7651916cd43dd8448eb211c80319c","parentID":"b7ad6b7169203331""#)
    }

    @Test(arguments: [
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-will-be-like",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    ])
    func `a later version is read as far as it is known`(text: String) {
        #expect(parse(text)?.id.text == "0af7651916cd43dd8448eb211c80319c")
    }

    @Test(arguments: [
        "", "00", valid + "-", valid + "x", "ff" + valid.dropFirst(2), "0G" + valid.dropFirst(2),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x", "01-" + valid.dropFirst(3) + "x",
        "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
    ])
    func `what is not valid is no trace`(text: String) {
        #expect(parse(text) == nil)
    }
}
