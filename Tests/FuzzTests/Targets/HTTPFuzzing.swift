import GatewayCore
import NIOCore

/// Decoders of both sides. The first byte says where the rest is cut in two.
enum HTTPFuzzing {
    static func request(_ bytes: [UInt8]) {
        guard let cut = bytes.first else { return }
        let rest = bytes.dropFirst()
        let whole = requests([rest])
        let at = rest.startIndex + Int(cut) * rest.count / 256
        let parts = requests([rest[..<at], rest[at...]])
        promise(whole == parts, "a request depends on where it is cut")
    }

    private static func requests(_ parts: [ArraySlice<UInt8>]) -> [String] {
        var limits = RequestDecoder.Limits()
        limits.headBytes = 512
        limits.contentBytes = 512
        var decoder = RequestDecoder(limits: limits)
        var events: [String] = []
        for part in parts {
            decoder.receive(ByteBuffer(bytes: part))
            reading: while true {
                switch decoder.next() {
                case .needsMoreBytes: break reading
                case .continueExpected: continue  // whether it is said depends on what is there
                case .refused(let error):
                    events.append(String(describing: error))
                    break reading
                case .request(let request):
                    promise(request.content.readableBytes <= limits.contentBytes, "content above the limit")
                    promise(request.head.path.upperBound <= request.headBytes.readableBytes, "a path beyond its head")
                    let headBytes = request.headBytes
                    if let base = try? BasePath(headBytes.readableBytesUInt8Span, request.head.path) {
                        promise(base.rest.upperBound == request.head.path.upperBound, "a base path with another end")
                    }
                    events.append(
                        "\(request.head.method) \(request.path) \(request.content.readableBytesView.hashValue)")
                }
            }
        }
        return events
    }

    static func response(_ bytes: [UInt8]) {
        guard let cut = bytes.first else { return }
        let rest = bytes.dropFirst()
        let whole = answer([rest])
        let at = rest.startIndex + Int(cut) * rest.count / 256
        let parts = answer([rest[..<at], rest[at...]])
        promise(whole?.status == parts?.status, "a status depends on where the answer is cut")
        promise(whole?.requestID == parts?.requestID, "a request id depends on where the answer is cut")
    }

    private static func answer(_ parts: [ArraySlice<UInt8>]) -> UpstreamResponse? {
        var decoder = ResponseDecoder()
        for part in parts {
            do {
                guard case .answer(let answer, _) = try decoder.receive(ByteBuffer(bytes: part)) else { continue }
                promise(isPassable(answer), "an answer that cannot be passed on")
                return answer
            } catch {
                return nil
            }
        }
        return decoder.answerSoFar()
    }

    /// Whatever is passed on can become no field of its own.
    static func isPassable(_ answer: UpstreamResponse) -> Bool {
        let texts = [answer.retryAfter, answer.contentType, answer.requestID?.description].compactMap { $0 }
        return answer.content.readableBytes <= UpstreamResponse.contentLimitBytes
            && texts.allSatisfy { $0.utf8.allSatisfy { (0x20...0x7E).contains($0) } }
    }
}
