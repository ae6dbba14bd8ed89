"""What becomes of messages while their region restarts gracefully, over HTTP/2 and over HTTP/1.1.

An nginx accepts all messages and is told to start new workers again and again, under load. The old ones finish what they have begun; over
HTTP/2 they say which messages they have not processed, over HTTP/1.1 a message may be written to a connection that is being closed.
"""

import collections
import re
import signal
import subprocess
import threading

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--seconds", type=int, default=15)
    arguments.add_argument("--pause", type=float, default=0.7, help="seconds between two restarts")
    arguments.add_argument("--connections", type=int, default=32)
    options = arguments.parse_args()
    for http2 in ("auto", "off"):
        with bench.bench(http2=True, restarts=True) as b:
            # Its circuit would keep most messages from what is measured.
            gateway = b.gateway("gateway", options.binary, upstream=f"http2: '{http2}', circuitBreaker: false")
            restarts, over = 0, threading.Event()

            def restart():
                nonlocal restarts
                while not over.wait(options.pause):
                    b.upstream_process.send_signal(signal.SIGHUP)
                    restarts += 1

            thread = threading.Thread(target=restart)
            thread.start()
            subprocess.run(
                ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--timeout", "10s", "-s",
                 str(b.folder / "request.lua"), f"http://127.0.0.1:{gateway.port}", "--", "1", "0", "60"],
                check=True, capture_output=True)
            over.set()
            thread.join()
            statuses = collections.Counter()
            page = gateway.admin("metrics")
            for status, count in re.findall(r'skillgate_messages_total\{.*status="(\d+)".*\} (\d+)', page):
                statuses[status] += int(count)
            unknown = sum(int(count) for count in re.findall(r"skillgate_outcome_unknown_total\{.*\} (\d+)", page))
            again = sum(int(n) for n in re.findall(r'attempts_total\{.*reason="not_processed".*\} (\d+)', page))
            print(
                f"{'HTTP/2' if http2 == 'auto' else 'HTTP/1.1'}: {restarts} restarts, messages by status {dict(statuses)}, "
                f"{again} sent again, {unknown} outcomes unknown", flush=True)


if __name__ == "__main__":
    main()
