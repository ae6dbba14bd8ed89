import CCurl

/// One transfer under way. Made, run and ended on the thread of the `TransferLoop`.
final class RunningTransfer {
    let handle: UnsafeMutableRawPointer
    private let received: Received
    private let isContentCut: Bool
    private var list: UnsafeMutablePointer<curl_slist>?
    private let then: @Sendable (Result<HTTPTransfer.Response, HTTPTransfer.Failure>) -> Void

    /// Nil if libcurl gives no handle.
    init?(
        _ transfer: HTTPTransfer,
        _ then: @escaping @Sendable (Result<HTTPTransfer.Response, HTTPTransfer.Failure>) -> Void
    ) {
        guard let handle = curl_easy_init() else { return nil }
        self.handle = handle
        self.then = then
        received = Received(limitBytes: transfer.contentLimitBytes)
        isContentCut = transfer.isContentCut
        for field in transfer.fields { list = curl_slist_append(list, "\(field.name): \(field.value)") }
        // libcurl would wait for `100 Continue` before larger contents.
        list = curl_slist_append(list, "Expect:")
        received.attach(to: handle)
        setOptions(transfer)
        setContent(transfer)
    }

    deinit {
        curl_easy_cleanup(handle)
        curl_slist_free_all(list)
    }

    func ended(_ code: CURLcode) {
        then(Result { () throws(HTTPTransfer.Failure) in try response(code) })
    }

    private func response(_ code: CURLcode) throws(HTTPTransfer.Failure) -> HTTPTransfer.Response {
        if received.isTooLarge && !isContentCut {
            throw HTTPTransfer.Failure(
                reason: .tooLarge, description: "the answer is larger than \(received.limitBytes) bytes")
        }
        guard code == CURLE_OK || received.isTooLarge else {
            throw HTTPTransfer.Failure(reason: .init(code), description: String(cString: curl_easy_strerror(code)))
        }
        var status = 0
        _ = curl_easy_getinfo_long(handle, CURLINFO_RESPONSE_CODE, &status)
        var version = 0
        _ = curl_easy_getinfo_long(handle, CURLINFO_HTTP_VERSION, &version)
        return HTTPTransfer.Response(
            status: status, fields: received.fields, content: received.content, times: times,
            isHTTP2: version == Int(CURL_HTTP_VERSION_2_0))
    }

    private var times: HTTPTransfer.Times {
        func time(_ info: CURLINFO) -> Duration {
            var microseconds: curl_off_t = 0
            _ = curl_easy_getinfo_microseconds(handle, info, &microseconds)
            return .microseconds(microseconds)
        }
        return HTTPTransfer.Times(
            resolved: time(CURLINFO_NAMELOOKUP_TIME_T), connected: time(CURLINFO_CONNECT_TIME_T),
            secured: time(CURLINFO_APPCONNECT_TIME_T), answered: time(CURLINFO_STARTTRANSFER_TIME_T))
    }

    private func setOptions(_ transfer: HTTPTransfer) {
        _ = curl_easy_setopt_string(handle, CURLOPT_URL, transfer.url)
        _ = curl_easy_setopt_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = curl_easy_setopt_long(handle, CURLOPT_FOLLOWLOCATION, 0)
        _ = curl_easy_setopt_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = curl_easy_setopt_long(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        switch transfer.version {
        case .negotiated: break  // as libcurl does by itself
        case .http1: _ = curl_easy_setopt_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        case .http2: _ = curl_easy_setopt_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE))
        }
        _ = curl_easy_setopt_long(handle, CURLOPT_TIMEOUT_MS, transfer.timeout.inMilliseconds)
        _ = curl_easy_setopt_long(handle, CURLOPT_CONNECTTIMEOUT_MS, transfer.connectTimeout.inMilliseconds)
        _ = curl_easy_setopt_fields(handle, CURLOPT_HTTPHEADER, list)
        _ = curl_easy_setopt_string(handle, CURLOPT_PROXY, transfer.proxy ?? "")
        if let socket = transfer.unixSocket { _ = curl_easy_setopt_string(handle, CURLOPT_UNIX_SOCKET_PATH, socket) }
        if !transfer.sharesConnection {
            // A kept one that turns out dead would make libcurl send a POST again.
            _ = curl_easy_setopt_long(handle, CURLOPT_FRESH_CONNECT, 1)
            _ = curl_easy_setopt_long(handle, CURLOPT_FORBID_REUSE, 1)
        }
        if let caFile = transfer.caFile {
            // The file takes the place of the system's bundle; the system's folder of the same certificates stays.
            _ = curl_easy_setopt_string(handle, CURLOPT_CAINFO, caFile)
            _ = curl_easy_setopt_string(handle, CURLOPT_CAPATH, "/etc/ssl/certs")
        }
    }

    private func setContent(_ transfer: HTTPTransfer) {
        if transfer.method == "POST" || transfer.method == "PUT" {
            transfer.content.withUnsafeBytes { content in
                _ = curl_easy_setopt_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(content.count))
                _ = curl_easy_setopt_pointer(
                    handle, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: content.baseAddress))
            }
        }
        _ = curl_easy_setopt_string(handle, CURLOPT_CUSTOMREQUEST, transfer.method)
    }
}

/// What libcurl hands over, call by call.
private final class Received {
    private(set) var content: [UInt8] = []
    private(set) var fields: [(name: String, value: String)] = []
    private(set) var isTooLarge = false
    let limitBytes: Int

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
