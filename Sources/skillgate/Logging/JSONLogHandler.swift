import GatewayCore
import Glibc
import Logging
import NIOCore

/// An object of JSON a line on standard error: time, level, message, and the metadata as members of their own.
struct JSONLogHandler {
    var metadata: Logger.Metadata = [:]

    func log(event: LogEvent) {
        let line = line(event, at: UnixTime.timestamp())
        // In one go, so that lines of several threads do not mix.
        line.withUnsafeReadableBytes { bytes in
            _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }

    func line(_ event: LogEvent, at time: UnixTimestamp) -> ByteBuffer {
        var line = ByteBuffer()
        line.writeString("{\"time\":\"")
        line.writeTimestamp(time)
        line.writeString("\",\"level\":\"\(event.level)\",\"message\":")
        line.writeString(JSONText.string("\(event.message)"))
        let members = metadata.merging(event.metadata ?? [:]) { $1 }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            line.writeString(",\(JSONText.string(name)):\(Self.json(value))")
        }
        if let error = event.error { line.writeString(",\"error\":\(JSONText.string("\(error)"))") }
        line.writeString("}\n")
        return line
    }

    private static func json(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): JSONText.string(text)
        case .stringConvertible(let value): JSONText.string("\(value)")
        case .array(let values): "[" + values.map(json).joined(separator: ",") + "]"
        case .dictionary(let members):
            "{"
                + members.sorted { $0.key < $1.key }.map { "\(JSONText.string($0.key)):\(json($0.value))" }
                .joined(separator: ",") + "}"
        }
    }
}
