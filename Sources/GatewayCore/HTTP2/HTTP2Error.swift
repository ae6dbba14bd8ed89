/// Why a connection cannot go on (RFC 9113 section 5.4.1).
package struct HTTP2Error: Error, Equatable {
    /// RFC 9113 section 7.
    package enum Code: UInt32, Sendable {
        case noError = 0x0
        case protocolError = 0x1
        case internalError = 0x2
        case flowControlError = 0x3
        case settingsTimeout = 0x4
        case streamClosed = 0x5
        case frameSizeError = 0x6
        case refusedStream = 0x7
        case cancel = 0x8
        case compressionError = 0x9
        case connectError = 0xA
        case enhanceYourCalm = 0xB
        case inadequateSecurity = 0xC
        case http11Required = 0xD
    }

    package var code: Code
    /// What is wrong and what is expected.
    package var detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }
}
