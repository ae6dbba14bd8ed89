"""What a scrape of /metrics costs with many series, and whether messages wait for it.

Callers send for every skill and region, so that all their series exist; then /metrics is read again and again, while messages
pass and while none do.
"""

import http.client
import json
import statistics
import time

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--callers", type=int, default=50)
    arguments.add_argument("--skills", type=int, default=10)
    arguments.add_argument("--scrapes", type=int, default=200)
    options = arguments.parse_args()
    with bench.bench() as b:
        base = f"https://localhost:{b.upstream}"
        skills = [
            {"name": f"skill{n}", "clientID": f"c{n}", "clientSecret": {"file": "secret"}} for n in range(options.skills)]
        callers = []
        for n in range(options.callers):
            (b.folder / f"key{n}").write_text(f"{bench.KEY}-{n}")
            callers.append(
                {"name": f"caller{n}", "apiKeys": [{"file": f"key{n}"}], "skills": [skill["name"] for skill in skills]})
        port, admin = bench.free_port(), bench.free_port()
        (b.folder / "scrape.yaml").write_text(json.dumps({
            "eventLoops": 1, "listeners": [{"address": f"127.0.0.1:{port}"}], "admin": {"address": f"127.0.0.1:{admin}"},
            "regions": {"NA": {"apiEndpoint": base}, "EU": {"apiEndpoint": base + "/eu"}, "FE": {"apiEndpoint": base + "/fe"}},
            "tokenEndpoint": base + "/auth/o2/token", "upstream": {"trust": {"caFile": "cert.pem"}},
            "skills": skills, "callers": callers}))
        target = bench.Target(
            "gateway", port, b.start(options.binary, "serve", "--config", b.folder / "scrape.yaml").pid)
        b.wait_for(port)
        messages = http.client.HTTPConnection("127.0.0.1", port)

        def send(caller, skill, region):
            started = time.perf_counter()
            messages.request(
                "POST", "/v1/skillmessages/users/amzn1.ask.account.NA", '{"data":{}}',
                {"Authorization": f"Bearer {bench.KEY}-{caller}", "Gateway-Skill": f"skill{skill}",
                 "Gateway-Region": region, "Content-Type": "application/json"})
            answer = messages.getresponse()
            answer.read()
            if answer.status != 202:
                raise SystemExit(f"a message was answered {answer.status}")
            return time.perf_counter() - started

        for caller in range(options.callers):
            for skill in range(options.skills):
                for region in ("NA", "EU", "FE"):
                    send(caller, skill, region)
        scrapes = http.client.HTTPConnection("127.0.0.1", admin)

        def scrape():
            scrapes.request("GET", "/metrics")
            return scrapes.getresponse().read()

        series = sum(1 for line in scrape().splitlines() if line.startswith(b"skillgate_messages_total{"))
        before, started = target.cpu(), time.perf_counter()
        for _ in range(options.scrapes):
            page = scrape()
        cpu = (target.cpu() - before) / options.scrapes
        wall = (time.perf_counter() - started) / options.scrapes
        print(f"{series} series of messages_total, a page of {len(page) / 1000:.0f} kB")
        print(f"a scrape: {cpu * 1e3:.2f} ms of CPU, {wall * 1e3:.2f} ms in all")

        alone = [send(0, 0, "NA") for _ in range(2000)]
        import threading

        done = threading.Event()

        def scrape_on():
            while not done.is_set():
                scrape()

        thread = threading.Thread(target=scrape_on)
        thread.start()
        beside = [send(0, 0, "NA") for _ in range(2000)]
        done.set()
        thread.join()
        for name, times in (("no scrapes", alone), ("scrape after scrape", beside)):
            times.sort()
            print(
                f"a message beside {name}: median {statistics.median(times) * 1e3:.2f} ms, "
                f"p99 {times[len(times) * 99 // 100] * 1e3:.2f} ms, longest {times[-1] * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
