import CCurl
import Dispatch

/// One HTTP request of the control plane, by libcurl: the system's OpenSSL and trust store, and the proxies of the
/// environment. Never for messages: libcurl sends a POST again by itself when a kept-alive connection turns out dead.
public struct HTTPTransfer: Sendable {
    public var method: String
    public var url: String
    public var fields: [(name: String, value: String)]
    public var content: [UInt8]
    public var timeout = Duration.seconds(10)
    public var connectTimeout = Duration.seconds(5)
    public var contentLimitBytes = 1 << 20
    /// The path of a PEM file whose certificates are trusted besides the system's.
    public var caFile: String?
    /// The URL of a proxy; nothing for none at all; nil: what the environment says.
    public var proxy: String?

    public init(
        _ method: String, _ url: String, fields: [(name: String, value: String)] = [], content: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.fields = fields
        self.content = content
    }

    public struct Response: Sendable {
        public var status: Int
        /// In the order in which they came.
        public var fields: [(name: String, value: String)]
        public var content: [UInt8]
        public var times = Times()

        /// The value of the first field of this name, in whatever case.
        public func field(_ name: String) -> String? {
            fields.first { $0.name.lowercased() == name.lowercased() }?.value
        }

        public var text: String { String(decoding: content, as: UTF8.self) }
    }

    /// When each phase had ended, from the start of the transfer on; zero for a phase that there was none of.
    public struct Times: Sendable {
        public var resolved = Duration.zero
        public var connected = Duration.zero
        public var secured = Duration.zero
        public var answered = Duration.zero
    }

    public struct Failure: Error, Sendable, CustomStringConvertible {
        public enum Reason: Sendable {
            /// The name of the host has no address.
            case notResolved
            case notConnected
            /// No TLS connection, or none to be trusted.
            case notSecured
            case timeout
            case tooLarge
            case badRequest
            /// Anything else on the way, such as a connection that was lost.
            case broken

            init(_ code: CURLcode) {
                self =
                    switch code {
                    case CURLE_OPERATION_TIMEDOUT: .timeout
                    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .notResolved
                    case CURLE_COULDNT_CONNECT: .notConnected
                    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
                        CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR:
                        .notSecured
                    case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .badRequest
                    default: .broken
                    }
            }
        }

        public var reason: Reason
        /// libcurl's words.
        public var description: String
    }

    private static let queue = DispatchQueue(label: "skillgate.http-transfer", attributes: .concurrent)
    /// Once a process, before anything else of libcurl.
    private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// Performs the request on a thread of its own.
    public func perform(then: @escaping @Sendable (Result<Response, Failure>) -> Void) {
        Self.queue.async {
            then(Result { () throws(Failure) in try performBlocking() })
        }
    }

    public func perform() async throws(Failure) -> Response {
        try await withCheckedContinuation { continuation in
            perform { continuation.resume(returning: $0) }
        }.get()
    }

    private func performBlocking() throws(Failure) -> Response {
        guard Self.isReady, let handle = curl_easy_init() else {
            throw Failure(reason: .badRequest, description: "libcurl does not start")
        }
        defer { curl_easy_cleanup(handle) }
        let received = Received(limitBytes: contentLimitBytes)
        var list: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(list) }
        for field in fields { list = curl_slist_append(list, "\(field.name): \(field.value)") }
        // libcurl would wait for `100 Continue` before larger contents.
        list = curl_slist_append(list, "Expect:")
        setOptions(of: handle, fields: list)
        let code = content.withUnsafeBytes { content in
            withExtendedLifetime(received) {
                received.attach(to: handle)
                if method == "POST" || method == "PUT" {
                    _ = curl_easy_setopt_size(
                        handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(content.count))
                    _ = curl_easy_setopt_pointer(
                        handle, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: content.baseAddress))
                }
                _ = curl_easy_setopt_string(handle, CURLOPT_CUSTOMREQUEST, method)
                return curl_easy_perform(handle)
            }
        }
        if received.isTooLarge {
            throw Failure(reason: .tooLarge, description: "the answer is larger than \(contentLimitBytes) bytes")
        }
        guard code == CURLE_OK else {
            throw Failure(reason: .init(code), description: String(cString: curl_easy_strerror(code)))
        }
        var status = 0
        _ = curl_easy_getinfo_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return Response(
            status: status, fields: received.fields, content: received.content, times: Self.times(of: handle))
    }

    private static func times(of handle: UnsafeMutableRawPointer) -> Times {
        func time(_ info: CURLINFO) -> Duration {
            var microseconds: curl_off_t = 0
            _ = curl_easy_getinfo_microseconds(handle, info, &microseconds)
            return .microseconds(microseconds)
        }
        return Times(
            resolved: time(CURLINFO_NAMELOOKUP_TIME_T), connected: time(CURLINFO_CONNECT_TIME_T),
            secured: time(CURLINFO_APPCONNECT_TIME_T), answered: time(CURLINFO_STARTTRANSFER_TIME_T))
    }

    private func setOptions(of handle: UnsafeMutableRawPointer, fields: UnsafeMutablePointer<curl_slist>?) {
        _ = curl_easy_setopt_string(handle, CURLOPT_URL, url)
        _ = curl_easy_setopt_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = curl_easy_setopt_long(handle, CURLOPT_FOLLOWLOCATION, 0)
        _ = curl_easy_setopt_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = curl_easy_setopt_long(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        _ = curl_easy_setopt_long(handle, CURLOPT_TIMEOUT_MS, timeout.inMilliseconds)
        _ = curl_easy_setopt_long(handle, CURLOPT_CONNECTTIMEOUT_MS, connectTimeout.inMilliseconds)
        _ = curl_easy_setopt_fields(handle, CURLOPT_HTTPHEADER, fields)
        if let proxy { _ = curl_easy_setopt_string(handle, CURLOPT_PROXY, proxy) }
        if let caFile {
            // The file takes the place of the system's bundle; the system's folder of the same certificates stays.
            _ = curl_easy_setopt_string(handle, CURLOPT_CAINFO, caFile)
            _ = curl_easy_setopt_string(handle, CURLOPT_CAPATH, "/etc/ssl/certs")
        }
    }
}

/// What libcurl hands over, call by call.
private final class Received {
    private(set) var content: [UInt8] = []
    private(set) var fields: [(name: String, value: String)] = []
    private(set) var isTooLarge = false
    private let limitBytes: Int

    init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    func attach(to handle: UnsafeMutableRawPointer) {
        let pointer = Unmanaged.passUnretained(self).toOpaque()
        _ = curl_easy_setopt_pointer(handle, CURLOPT_WRITEDATA, pointer)
        _ = curl_easy_setopt_pointer(handle, CURLOPT_HEADERDATA, pointer)
        _ = curl_easy_setopt_callback(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, pointer in
            guard let bytes, let pointer else { return 0 }
            let received = Unmanaged<Received>.fromOpaque(pointer).takeUnretainedValue()
            return received.take(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        _ = curl_easy_setopt_callback(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, pointer in
            guard let bytes, let pointer else { return 0 }
            let received = Unmanaged<Received>.fromOpaque(pointer).takeUnretainedValue()
            received.takeFieldLine(UnsafeRawBufferPointer(start: bytes, count: size * count))
            return size * count
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard content.count + bytes.count <= limitBytes else {
            isTooLarge = true
            return false
        }
        content.append(contentsOf: bytes)
        return true
    }

    private func takeFieldLine(_ bytes: UnsafeRawBufferPointer) {
        let line = String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") { return fields.removeAll() }  // the head of a later response counts
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        let end = value.lastIndex { !$0.isWhitespace }
        fields.append((String(line[..<colon]), end.map { String(value[...$0]) } ?? ""))
    }
}

extension Duration {
    fileprivate var inMilliseconds: Int {
        let (seconds, attoseconds) = components
        return max(1, Int(clamping: seconds) * 1000 + Int(clamping: attoseconds / 1_000_000_000_000_000))
    }
}
