"""Whether a caller far above its rate takes anything from the others: nine callers send at their rate, alone and then beside a tenth
that sends at twenty times its own.

An open loop: messages leave when they are due. Rounds take turns; figures are medians of the rounds'.
"""

import multiprocessing
import statistics

import bench
import latency


def request(key, number, run):
    return latency.request(number, run).replace(bench.KEY.encode(), key.encode(), 1)


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--rate", type=int, default=50, help="messages a second of each caller")
    arguments.add_argument("--times", type=int, default=20, help="how far the tenth goes above its own")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--seconds", type=int, default=5, help="of each round")
    options = arguments.parse_args()
    callers = [f"caller-{number}-{bench.KEY}" for number in range(10)]
    with bench.bench() as b:
        for number, key in enumerate(callers):
            (b.folder / f"key{number}").write_text(key)
        lines = "\n".join(
            f"  - {{name: c{number}, apiKeys: [{{file: key{number}}}], skills: [weather], "
            f"rate: {{perSecond: {options.rate}, burst: {options.rate}}}}}" for number in range(10))
        gateway = b.gateway("gateway", options.binary, callers=lines)
        results = {"alone": [], "beside the tenth": []}
        for number in range(options.rounds + 1):
            for name, rows in results.items():
                # In a process of its own, so that neither waits for the other's interpreter.
                eager = multiprocessing.get_context("fork").Process(
                    target=latency.measure, args=(
                        gateway, options.rate * options.times, options.seconds, 32, f"e{number}",
                        lambda n, run: request(callers[9], n, run), (b"202", b"429")))
                if name != "alone":
                    eager.start()
                times = latency.measure(
                    gateway, options.rate * 9, options.seconds, 32, f"{name[0]}{number}",
                    lambda n, run: request(callers[n % 9], n, run))
                if name != "alone":
                    eager.join()
                    if eager.exitcode:
                        raise SystemExit("the tenth caller had another answer than 202 and 429")
                if number:
                    rows.append([times[int(len(times) * share)] for share in (0.5, 0.99)])
        for name, rows in results.items():
            p50, p99 = (statistics.median(column) * 1e3 for column in zip(*rows))
            print(f"nine callers {name}: every message 202, p50 {p50:.3f} ms, p99 {p99:.3f} ms")
        ratio = statistics.median(
            beside[1] / alone[1] for beside, alone in zip(results["beside the tenth"], results["alone"]))
        print(f"p99 beside the tenth: {ratio:.2f} times that alone")
        refused = sum(
            int(line.split()[-1]) for line in gateway.admin("metrics").splitlines()
            if line.startswith('skillgate_rejected_total{reason="caller-rate"}'))
        print(f"the tenth was refused {refused:,} times")


if __name__ == "__main__":
    main()
