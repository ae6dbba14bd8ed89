import CCurl
import Dispatch
import Synchronization

/// Runs transfers on one thread, by libcurl's multi interface: none of them waits for another's answer, however long that takes, and no
/// thread of anybody else's is held up. libcurl resolves names on threads of its own, but waits for such a thread when it ends a transfer
/// whose time is up: a name server that hangs holds up all transfers of the loop. So there is a loop for each purpose.
final class TransferLoop: Sendable {
    private static let loops = HTTPTransfer.Purpose.allCases.map { _ in TransferLoop() }

    static func of(_ purpose: HTTPTransfer.Purpose) -> TransferLoop { loops[purpose.rawValue] }

    /// To one host at once; more wait for their turn. Each skill asks for one token at a time.
    private static let maximumConnectionsPerHost = 1024

    /// A handle of libcurl's, in the hands of one thread at a time: of its maker's until it is submitted, of the loop's from then on.
    private struct Handle: @unchecked Sendable {
        let pointer: UnsafeMutableRawPointer
    }

    private struct Submission: Sendable {
        var make: @Sendable () -> RunningTransfer?
        var failed: @Sendable () -> Void
    }

    private struct State {
        var submissions: [Submission] = []
        var isRunning = false
    }

    private let state = Mutex(State())
    /// Nil if libcurl does not start.
    private let multi: Handle?

    private init() {
        guard curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK, let multi = curl_multi_init() else {
            self.multi = nil
            return
        }
        _ = curl_multi_setopt_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, Self.maximumConnectionsPerHost)
        self.multi = Handle(pointer: multi)
    }

    /// - Parameters:
    ///   - make: called on the thread of the loop; nil where the transfer cannot be made.
    ///   - failed: called instead of the transfer's end if there is none.
    func submit(_ make: @escaping @Sendable () -> RunningTransfer?, failed: @escaping @Sendable () -> Void) {
        guard let multi else { return failed() }
        let starts = state.withLock { state in
            state.submissions.append(Submission(make: make, failed: failed))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts {
            // A queue of its own, and so a thread of its own for as long as there are transfers.
            DispatchQueue(label: "skillgate.transfers").async { self.run(multi.pointer) }
        } else {
            curl_multi_wakeup(multi.pointer)
        }
    }

    private func run(_ multi: UnsafeMutableRawPointer) {
        var running: [UnsafeMutableRawPointer: RunningTransfer] = [:]
        while begin(&running, multi) {
            var count: Int32 = 0
            curl_multi_perform(multi, &count)
            finish(&running, multi)
            curl_multi_poll(multi, nil, 0, 1000, nil)
        }
    }

    /// Adds what was submitted. False if there is nothing left to do, and the next to submit starts a new thread.
    private func begin(
        _ running: inout [UnsafeMutableRawPointer: RunningTransfer], _ multi: UnsafeMutableRawPointer
    ) -> Bool {
        let isIdle = running.isEmpty
        let submissions: [Submission]? = state.withLock { state in
            if state.submissions.isEmpty && isIdle {
                state.isRunning = false
                return nil
            }
            defer { state.submissions = [] }
            return state.submissions
        }
        guard let submissions else { return false }
        for submission in submissions {
            if let transfer = submission.make(), curl_multi_add_handle(multi, transfer.handle) == CURLM_OK {
                running[transfer.handle] = transfer
            } else {
                submission.failed()
            }
        }
        return true
    }

    private func finish(
        _ running: inout [UnsafeMutableRawPointer: RunningTransfer], _ multi: UnsafeMutableRawPointer
    ) {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            let code = message.pointee.data.result
            curl_multi_remove_handle(multi, handle)
            running.removeValue(forKey: handle)?.ended(code)
        }
    }
}
