"""From the start of the process to its first 202 from a local simulator: configuration, token, connection, message."""

import http.client
import statistics
import threading
import time

import bench

CONTENT = '{"data":{"state":"shipped"},"expiresAfterSeconds":3600}'


def first_answer(b, binary, simulator, number):
    """Seconds."""
    port = bench.free_port()
    base = f"http://127.0.0.1:{simulator}"
    file = b.folder / "start.yaml"
    file.write_text(
        f"""
listeners: [{{address: 127.0.0.1:{port}}}]
admin: {{address: 127.0.0.1:{bench.free_port()}}}
regions: {{NA: {{apiEndpoint: {base}/na}}, EU: {{apiEndpoint: {base}/eu}}, FE: {{apiEndpoint: {base}/fe}}}}
tokenEndpoint: {base}/auth/o2/token
skills: [{{name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {{file: simulator-secret}}, defaultRegion: NA}}]
callers: [{{name: bench, apiKeys: [{{file: key}}], skills: [weather]}}]
""")
    started = time.perf_counter()
    process = b.start(binary, "serve", "--config", file)
    while time.perf_counter() - started < 10:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.connect()
        except ConnectionRefusedError:
            threading.Event().wait(0.0005)
            continue
        connection.request(
            "POST", "/v1/skillmessages/users/amzn1.ask.account.NA-START", CONTENT,
            {"Authorization": f"Bearer {bench.KEY}", "Content-Type": "application/json", "Idempotency-Key": f"k{number}"})
        answer = connection.getresponse()
        if answer.status != 202:
            raise SystemExit(f"the first message was answered {answer.status}: {answer.read()}")
        seconds = time.perf_counter() - started
        process.kill()
        process.wait()
        return seconds
    raise SystemExit("the gateway did not answer within 10 s")


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--starts", type=int, default=21)
    options = arguments.parse_args()
    with bench.bench() as b:
        (b.folder / "simulator-secret").write_text("simulator-secret")
        simulator = bench.free_port()
        b.start(options.binary, "simulate", "--listen", f"127.0.0.1:{simulator}")
        b.wait_for(simulator)
        first_answer(b, options.binary, simulator, "warm-up")
        times = sorted(first_answer(b, options.binary, simulator, number) for number in range(options.starts))
        print(
            f"{options.starts} starts, to the first 202: median {statistics.median(times) * 1e3:.0f} ms, "
            f"longest {times[-1] * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
