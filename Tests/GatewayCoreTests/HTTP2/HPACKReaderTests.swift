import NIOCore
import NIOHPACK
import TestSupport
import Testing

@testable import GatewayCore

@Suite struct HPACKReaderTests {
    private func bytes(_ hexadecimal: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        var digits = hexadecimal.filter { $0 != " " }[...]
        while let byte = UInt8(digits.prefix(2), radix: 16) {
            buffer.writeInteger(byte)
            digits = digits.dropFirst(2)
        }
        return buffer
    }

    private func decode(
        _ block: ByteBuffer, _ decoder: inout HPACKReader
    ) throws(HTTP2Error) -> [String] {
        var fields = HTTP2Fields()
        try decoder.decode(block.readableBytesUInt8Span, into: &fields)
        return fields.fields.map { field in
            let parts = [field.name, field.value].map { String(decoding: fields.bytes[$0], as: UTF8.self) }
            return "\(parts[0]): \(parts[1])"
        }
    }

    private func decoder(_ listLimit: Int = 16_384, _ fieldLimit: Int = 128) -> HPACKReader {
        HPACKReader(listLimit: listLimit, fieldLimit: fieldLimit)
    }

    /// RFC 7541 appendices C.3 and C.4: three requests on one connection, as they are and with the Huffman code.
    @Test(arguments: [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ])
    func `the requests of the RFC's examples are read`(blocks: [String]) throws {
        var decoder = decoder()
        let read = try blocks.map { try decode(bytes($0), &decoder) }
        #expect(
            read == [
                [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
                [
                    ":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com",
                    "cache-control: no-cache",
                ],
                [
                    ":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com",
                    "custom-key: custom-value",
                ],
            ])
    }

    /// RFC 7541 appendix C.6: responses, and a table of 256 bytes that forgets.
    @Test func `the responses of the RFC's examples are read`() throws {
        var decoder = decoder()
        let blocks = [
            """
            3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b
            97c8 e9ae 82ae 43d3
            """.filter { $0 != "\n" }, "4883 640e ffc1 c0bf",
            """
            88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960
            d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07
            """.filter { $0 != "\n" },
        ]
        let read = try blocks.map { try decode(bytes($0), &decoder) }
        let (date, location) = ("date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com")
        #expect(read[0] == [":status: 302", "cache-control: private", date, location])
        #expect(read[1] == [":status: 307", "cache-control: private", date, location])
        #expect(
            read[2] == [
                ":status: 200", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:22 GMT", location,
                "content-encoding: gzip", "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ])
    }

    @Test(arguments: [0, 100, 4096])
    func `what another encoder writes is read`(tableBytes: Int) throws {
        var generator = SeededGenerator(seed: 3)
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
        var decoder = decoder()
        if tableBytes != 4096 { try encoder.setDynamicTableSize(tableBytes) }
        let names = ["x-amzn-requestid", "content-type", ":status", "retry-after", "x-other"]
        let values = (0..<12).map { _ in
            String(
                decoding: (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                    UInt8.random(in: 0x20...0x7E, using: &generator)
                }, as: UTF8.self)
        }
        for _ in 0..<2_000 {
            let headers = (0..<Int.random(in: 0...6, using: &generator)).compactMap { _ in
                names.randomElement(using: &generator).flatMap { name in
                    values.randomElement(using: &generator).map { (name, $0) }
                }
            }
            var block = ByteBuffer()
            try encoder.encode(headers: HPACKHeaders(headers), to: &block)
            #expect(try decode(block, &decoder) == headers.map { "\($0.0): \($0.1)" })
        }
    }

    @Test func `every byte has its code`() throws {
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
        var decoder = decoder()
        for byte in UInt8(0x20)...0x7E {
            // Of a length at which the code is used.
            let value = String(repeating: String(UnicodeScalar(byte)), count: 5) + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            var block = ByteBuffer()
            try encoder.encode(headers: HPACKHeaders([("x", value)]), to: &block)
            #expect(try decode(block, &decoder) == ["x: \(value)"])
        }
    }

    @Test(arguments: [
        ("80", "index 0"), ("be", "index 62"), ("ff80808001", "index"), ("ffffffffff0f", "more than 4 bytes"),
        ("ff", "number"),
        ("40", "within a field"), ("400161", "within a field"), ("40016102", "within a field"),
        ("4001610561", "within a field"), ("3fe13f", "resized"), ("8220", "resized"), ("0001618400000000", "Huffman"),
        // Padding of a whole byte, padding that is not the start of the end of the string, and that end itself.
        ("00016182ffff", "Huffman"), ("0001618118", "Huffman"), ("00016184ffffffff", "Huffman"),
    ])
    func `what cannot be decoded is said`(block: String, what: String) {
        var decoder = decoder()
        let error = #expect(throws: HTTP2Error.self) { try decode(bytes(block), &decoder) }
        #expect(
            error?.code == .compressionError && error?.detail.contains(what) == true, "\(String(describing: error))")
    }

    @Test func `fields beyond the limits are left out, and the table goes on`() throws {
        var decoder = decoder(100, 128)
        var block = ByteBuffer()
        // 4 KB in the table, named again and again in one byte each.
        block.writeHPACKInteger(0, bits: 6, pattern: 0x40)
        block.writeHPACKString(ByteBuffer(string: "x"))
        block.writeHPACKString(ByteBuffer(repeating: 0x61, count: 4_000))
        block.writeRepeatingByte(0xBE, count: 10)
        var fields = HTTP2Fields()
        try decoder.decode(block.readableBytesUInt8Span, into: &fields)
        #expect(fields.isTooLarge && fields.fields.isEmpty && fields.bytes.isEmpty)
        #expect(fields.bytes.capacity < 20_000)
        try decoder.decode(ByteBuffer(bytes: [0x88]).readableBytesUInt8Span, into: &fields)
        #expect(!fields.isTooLarge && fields.fields.count == 1)
        var few = self.decoder(16_384, 3)
        try few.decode(ByteBuffer(bytes: [0x82, 0x84, 0x86, 0x88]).readableBytesUInt8Span, into: &fields)
        #expect(fields.isTooLarge && fields.fields.count == 3)
    }

    @Test func `what nobody looks for is passed over, and remembered where it is to be`() throws {
        var reader = HPACKReader(listLimit: 16_384, fieldLimit: 128, wanted: [":status"])
        var block = ByteBuffer()
        for (pattern, bits) in [(0x00, 4), (0x10, 4), (0x40, 6)] as [(UInt8, Int)] {
            for name in [8, 33] {
                block.writeHPACKInteger(name, bits: bits, pattern: pattern)
                block.writeHPACKString(ByteBuffer(string: "x"))
            }
        }
        block.writeInteger(UInt8(0xBE))
        #expect(try decode(block, &reader) == [":status: x", ":status: x", ":status: x", "date: x"])
        let cut = #expect(throws: HTTP2Error.self) { try decode(bytes("0f1205"), &reader) }
        #expect(cut?.code == .compressionError)
    }

    /// RFC 7541 appendix A has seven fields of this name: a peer may refer to any of them.
    @Test(arguments: 8...14, [(0x40, 6), (0x00, 4), (0x10, 4)] as [(UInt8, Int)])
    func `a name is looked for by whichever index it has`(index: Int, form: (pattern: UInt8, bits: Int)) throws {
        var reader = HPACKReader(listLimit: 16_384, fieldLimit: 128, wanted: [":status"])
        var block = ByteBuffer()
        block.writeHPACKInteger(index, bits: form.bits, pattern: form.pattern)
        block.writeHPACKString(ByteBuffer(string: "202"))
        #expect(try decode(block, &reader) == [":status: 202"])
    }

    @Test func `what is passed over counts for the limit`() throws {
        var reader = HPACKReader(listLimit: 100, fieldLimit: 128, wanted: [":status"])
        var (block, fields) = (ByteBuffer(), HTTP2Fields())
        block.writeHPACKInteger(33, bits: 6, pattern: 0x40)
        block.writeHPACKString(ByteBuffer(repeating: UInt8(ascii: "x"), count: 90))
        try reader.decode(block.readableBytesUInt8Span, into: &fields)
        #expect(fields.isTooLarge)
    }

    /// The tables of both have to stay the same, whatever is evicted when.
    @Test(arguments: [0, 100, 200, 4096])
    func `what is passed over changes nothing of what comes behind it`(tableBytes: Int) throws {
        var generator = SeededGenerator(seed: 5)
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
        var (reader, other) = (
            HPACKReader(listLimit: 16_384, fieldLimit: 128, wanted: [":status", "content-type"]), decoder()
        )
        if tableBytes != 4096 { try encoder.setDynamicTableSize(tableBytes) }
        let names = [":status", "content-type", "date", "server", "vary", "x-other"]
        for _ in 0..<2_000 {
            let headers = (0..<Int.random(in: 0...6, using: &generator)).compactMap { _ in
                names.randomElement(using: &generator).map { name in
                    (name, String(repeating: "v", count: Int.random(in: 0...90, using: &generator)))
                }
            }
            var block = ByteBuffer()
            try encoder.encode(headers: HPACKHeaders(headers), to: &block)
            let isWanted = { (field: String) in field.hasPrefix(":status") || field.hasPrefix("content-type") }
            #expect(try decode(block, &reader).filter(isWanted) == decode(block, &other).filter(isWanted))
        }
    }

    @Test func `a few bytes that become many end the connection`() throws {
        var decoder = decoder()
        var block = ByteBuffer()
        block.writeHPACKInteger(0, bits: 6, pattern: 0x40)
        block.writeHPACKString(ByteBuffer(string: "x"))
        block.writeHPACKString(ByteBuffer(repeating: 0x61, count: 4_000))
        block.writeRepeatingByte(0xBE, count: 12_000)
        let error = #expect(throws: HTTP2Error.self) { try decode(block, &decoder) }
        #expect(error?.code == .enhanceYourCalm)
    }

    @Test func `a table that is used for long takes no more memory`() throws {
        var table = HPACKDynamicTable(limit: 4096)
        for number in 0..<100_000 {
            let text = Array("name\(number)value\(number)".utf8)
            table.insert(text, name: 0..<4, value: 4..<text.count)
            #expect(table.bytes.count <= 3 * 4096)
        }
        let newest = try #require(table[0])
        #expect(String(decoding: table.bytes[newest.value], as: UTF8.self) == "99999value99999")
        table.resize(to: 0)
        #expect(table.count == 0 && table.bytes.isEmpty)
    }
}
