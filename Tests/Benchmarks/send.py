"""How long `skillgate send` takes for a file of messages, beside `curl --parallel` that sends the same.

Both to the same gateway, whose region answers after a while; they take turns.
"""

import json
import statistics
import subprocess
import time

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--messages", type=int, default=10000)
    arguments.add_argument("--concurrency", type=int, default=64)
    arguments.add_argument("--latency", type=int, default=50, help="of the region, in milliseconds")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    with bench.bench() as b:
        region = b.simulator(options.binary, {"NA": {"latencyMilliseconds": options.latency}})
        gateway = b.gateway("gateway", options.binary, region=region)
        url = f"http://127.0.0.1:{gateway.port}"

        def send(number):
            file = b.folder / f"messages-{number}"
            file.write_text("".join(
                json.dumps({"userId": f"amzn1.ask.account.NA-{line}", "data": {"order": f"{number}"}, "region": "NA"}) + "\n"
                for line in range(options.messages)))
            return [options.binary, "send", "--gateway", url, "--key-file", b.folder / "key", "--file", file,
                    "--concurrency", str(options.concurrency)]

        def curl(number):
            file = b.folder / f"curl-{number}"
            file.write_text("\nnext\n".join(
                f'url = "{url}/v1/skillmessages/users/amzn1.ask.account.NA-{line}"\n'
                f'data = "{{\\"data\\":{{\\"order\\":\\"{number}\\"}}}}"\n'
                f'header = "Authorization: Bearer {bench.KEY}"\nheader = "Content-Type: application/json"\n'
                f'header = "Gateway-Region: NA"\nheader = "Idempotency-Key: curl-{number}-{line}"\n'
                'output = /dev/null\nfail'
                for line in range(options.messages)) + "\n")
            return ["curl", "--parallel", "--parallel-max", str(options.concurrency), "--config", file]

        times = {send: [], curl: []}
        for number in range(options.rounds):
            for command, row in times.items():
                words = command(number)
                before, start = gateway.records(), time.perf_counter()
                # curl's meter goes to standard error.
                subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                row.append(time.perf_counter() - start)
                if gateway.records() - before != options.messages:
                    raise SystemExit(f"{words[0]} sent {gateway.records() - before} messages")
        for command, row in times.items():
            print(f"{command.__name__}: {statistics.median(row):.2f} s for {options.messages:,} messages, {options.concurrency} at once")
        ratio = statistics.median(one / other for one, other in zip(times[send], times[curl]))
        print(f"send takes {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
