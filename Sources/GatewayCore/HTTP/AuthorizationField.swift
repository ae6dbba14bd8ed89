import NIOCore

/// The credentials in a field `Authorization` (RFC 9110 section 11.6.2); the scheme is matched without regard to case (section 11.1).
enum AuthorizationField {
    /// Where those of scheme `Bearer` stand (RFC 6750 section 2.1); nil for anything else.
    static func bearerToken(_ bytes: Span<UInt8>, _ field: Range<Int>) -> Range<Int>? {
        let start = field.lowerBound
        guard field.count > 7, bytes.isEqualIgnoringCase(start..<start + 6, to: "bearer"),
            bytes[start + 6] == UInt8(ascii: " ")
        else { return nil }
        let token = bytes.trimmed(start + 7..<field.upperBound)
        for index in token where !(0x21...0x7E).contains(bytes[index]) { return nil }
        return token.isEmpty ? nil : token
    }

    /// Those of scheme `Basic` (RFC 7617 section 2); nil for anything else.
    static func basic(_ bytes: Span<UInt8>, _ field: Range<Int>) -> (userID: Substring, password: Substring)? {
        let start = field.lowerBound
        guard field.count > 6, bytes.isEqualIgnoringCase(start..<start + 5, to: "basic"),
            bytes[start + 5] == UInt8(ascii: " "),
            let decoded = Base64.decode(bytes, bytes.trimmed(start + 6..<field.upperBound)),
            let text = String(validating: decoded, as: UTF8.self), let colon = text.firstIndex(of: ":")
        else { return nil }
        return (text[..<colon], text[text.index(after: colon)...])
    }
}

extension InboundRequest {
    /// The credentials of scheme `Bearer`; nil if it has none.
    package var bearerToken: String? {
        guard let field = head.authorization else { return nil }
        let bytes = headBytes
        return AuthorizationField.bearerToken(bytes.readableBytesUInt8Span, field).map(text)
    }

    /// The credentials of scheme `Basic`; nil if it has none.
    package var basicCredentials: (userID: Substring, password: Substring)? {
        guard let field = head.authorization else { return nil }
        let bytes = headBytes
        return AuthorizationField.basic(bytes.readableBytesUInt8Span, field)
    }
}
