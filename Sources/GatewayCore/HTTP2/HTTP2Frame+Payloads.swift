import NIOCore

/// What the payloads of the frames say that either side can get. Each throws if the payload cannot be of its kind.
extension HTTP2Frame {
    /// Of `RST_STREAM` (RFC 9113 section 6.4).
    package func resetCode() throws(HTTP2Error) -> UInt32 {
        guard let code: UInt32 = payload.getInteger(at: payload.readerIndex), payload.readableBytes == 4 else {
            throw HTTP2Error(.frameSizeError, "RST_STREAM has not 4 bytes")
        }
        return code
    }

    /// Of `SETTINGS` (RFC 9113 section 6.5). Nil for an acknowledgement; the setting is nil where it is not known, and to be ignored.
    package func settings() throws(HTTP2Error) -> [(setting: HTTP2Setting?, value: UInt32)]? {
        try requireNoStream()
        guard !has(Flag.acknowledgement) else {
            guard payload.readableBytes == 0 else {
                throw HTTP2Error(.frameSizeError, "an acknowledgement of SETTINGS has content")
            }
            return nil
        }
        guard payload.readableBytes % 6 == 0 else {
            throw HTTP2Error(.frameSizeError, "SETTINGS have \(payload.readableBytes) bytes")
        }
        var rest = payload
        var settings: [(HTTP2Setting?, UInt32)] = []
        while let identifier: UInt16 = rest.readInteger(), let value: UInt32 = rest.readInteger() {
            let setting = HTTP2Setting(rawValue: identifier)
            if let setting { try setting.check(value) }
            settings.append((setting, value))
        }
        return settings
    }

    /// Of `PING` (RFC 9113 section 6.7).
    package func pingData() throws(HTTP2Error) -> UInt64 {
        try requireNoStream()
        guard let data: UInt64 = payload.getInteger(at: payload.readerIndex), payload.readableBytes == 8 else {
            throw HTTP2Error(.frameSizeError, "PING has not 8 bytes")
        }
        return data
    }

    /// Of `GOAWAY` (RFC 9113 section 6.8): streams above it were not processed, and will not be.
    package func lastStream() throws(HTTP2Error) -> UInt32 {
        try requireNoStream()
        guard let word: UInt32 = payload.getInteger(at: payload.readerIndex), payload.readableBytes >= 8 else {
            throw HTTP2Error(.frameSizeError, "GOAWAY has fewer than 8 bytes")
        }
        return word & 0x7FFF_FFFF
    }

    /// Of `WINDOW_UPDATE` (RFC 9113 section 6.9), in bytes. Nil for 0, which is an error of the stream alone where it is for one.
    package func windowIncrement() throws(HTTP2Error) -> Int? {
        guard let word: UInt32 = payload.getInteger(at: payload.readerIndex), payload.readableBytes == 4 else {
            throw HTTP2Error(.frameSizeError, "WINDOW_UPDATE has not 4 bytes")
        }
        let increment = Int(word & 0x7FFF_FFFF)
        guard increment > 0 || stream > 0 else { throw HTTP2Error(.protocolError, "WINDOW_UPDATE adds nothing") }
        return increment > 0 ? increment : nil
    }

    private func requireNoStream() throws(HTTP2Error) {
        guard stream == 0 else {
            throw HTTP2Error(.protocolError, "\(kind.map { "\($0)" } ?? "a frame") is for stream \(stream)")
        }
    }
}

extension HTTP2Setting {
    /// RFC 9113 section 6.5.2.
    fileprivate func check(_ value: UInt32) throws(HTTP2Error) {
        switch self {
        case .enablePush where value > 1: throw HTTP2Error(.protocolError, "SETTINGS_ENABLE_PUSH is \(value)")
        case .initialWindowSize where value > HTTP2SendWindow.largest:
            throw HTTP2Error(.flowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is \(value)")
        case .maximumFrameSize where !(16_384...16_777_215).contains(value):
            throw HTTP2Error(.protocolError, "SETTINGS_MAX_FRAME_SIZE is \(value)")
        default: break
        }
    }
}
