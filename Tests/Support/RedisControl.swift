import Foundation
import Glibc

/// What `redis-cli` does, for tests that ask too often for a process each: commands on a connection of their own.
package enum RedisControl {
    /// The reply to the last of them as text: elements of arrays on a line each.
    package static func commands(_ commands: [[String]], port: Int) throws -> String {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { throw RunningProcess.Failure(description: "nothing listens on \(port)") }
        var text = ""
        for words in commands {
            text += "*\(words.count)\r\n"
            for word in words { text += "$\(word.utf8.count)\r\n\(word)\r\n" }
        }
        let bytes = Array(text.utf8)
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw RunningProcess.Failure(description: "the connection to \(port) broke")
        }
        var reader = Reader(descriptor: descriptor)
        var reply = ""
        for _ in commands { reply = try reader.reply() }
        return reply
    }

    private struct Reader {
        let descriptor: Int32
        private var buffer: [UInt8] = []

        init(descriptor: Int32) {
            self.descriptor = descriptor
        }

        mutating func reply() throws -> String {
            let line = try line()
            let rest = String(line.dropFirst())
            switch line.first {
            case "+", ":": return rest
            case "-": throw RunningProcess.Failure(description: rest)
            case "$":
                guard let length = Int(rest), length >= 0 else { return "" }
                return String(decoding: try take(length + 2).dropLast(2), as: UTF8.self)
            case "*":
                return try (0..<max(0, Int(rest) ?? 0)).map { _ in try reply() }.joined(separator: "\n")
            default: throw RunningProcess.Failure(description: "no reply: \(line)")
            }
        }

        private mutating func line() throws -> String {
            while true {
                if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                    return String(decoding: try take(end + 1).dropLast(2), as: UTF8.self)
                }
                try receive()
            }
        }

        private mutating func take(_ count: Int) throws -> [UInt8] {
            while buffer.count < count { try receive() }
            defer { buffer.removeFirst(count) }
            return Array(buffer[..<count])
        }

        private mutating func receive() throws {
            var chunk = [UInt8](repeating: 0, count: 16_384)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { throw RunningProcess.Failure(description: "no reply came") }
            buffer += chunk[..<count]
        }
    }
}
