"""What a scrape of /metrics costs with many series, and whether messages wait for it.

Callers send for every skill and region, so that all their series exist. Then /metrics is read again and again, alone; then many
times a second by another process, while messages pass one after the other.
"""

import http.client
import json
import multiprocessing
import statistics
import threading
import time

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--callers", type=int, default=50)
    arguments.add_argument("--skills", type=int, default=10)
    arguments.add_argument("--scrapes", type=int, default=200)
    arguments.add_argument("--pace", type=int, default=20, help="scrapes a second beside messages")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=3, help="of messages in each round")
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

        def scrape_on():
            own = http.client.HTTPConnection("127.0.0.1", admin)
            while True:
                own.request("GET", "/metrics")
                own.getresponse().read()
                threading.Event().wait(1 / options.pace)

        def messages_for(seconds):
            end = time.perf_counter() + seconds
            times = []
            while time.perf_counter() < end:
                times.append(send(0, 0, "NA"))
            return sorted(times)

        results = {"alone": [], "beside scrapes": []}
        for _ in range(options.rounds):
            results["alone"].append(messages_for(options.seconds))
            scraper = multiprocessing.get_context("fork").Process(target=scrape_on, daemon=True)
            scraper.start()
            results["beside scrapes"].append(messages_for(options.seconds))
            scraper.terminate()
            scraper.join()
        print(f"a message, beside {options.pace} scrapes a second, medians of {options.rounds} rounds in ms:")
        for name, rounds in results.items():
            row = [
                f"{label} {statistics.median(times[int(len(times) * share)] for times in rounds) * 1e3:.3f}"
                for label, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))]
            print(f"  {name}: {', '.join(row)}, longest {statistics.median(times[-1] for times in rounds) * 1e3:.2f}")


if __name__ == "__main__":
    main()
