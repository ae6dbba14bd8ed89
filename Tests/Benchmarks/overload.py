"""What is left of the gateway when messages come many times faster than the region takes them.

An open loop: messages leave when they are due, in plenty of connections. The simulator answers after a while, and few connections to it
are allowed: that is the capacity. Those that cannot be sent are to be refused at once (503), so that those that are sent are not late.
"""

import bench
import latency


def measure(gateway, rate, seconds, run):
    """Returns the latencies of the messages that were answered 202, sorted, and the number of those refused with 503."""
    admitted = latency.measure(gateway, rate, seconds, 600, run, expected=(b"202", b"503"), of=b"202")
    return admitted, rate * seconds - len(admitted)


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--times", type=float, default=5, help="how far above the capacity")
    arguments.add_argument("--latency", type=int, default=40, help="of the region, in milliseconds")
    arguments.add_argument("--upstream-connections", type=int, default=16)
    arguments.add_argument("--seconds", type=int, default=60, help="of overload")
    options = arguments.parse_args()
    capacity = options.upstream_connections * 1000 / options.latency
    with bench.bench() as b:
        region = b.simulator(options.binary, {"NA": {"latencyMilliseconds": options.latency}})
        gateway = b.gateway(
            "gateway", options.binary, region=region, upstream=f"maximumConnectionsPerRegion: {options.upstream_connections}")
        measure(gateway, int(capacity / 2), 2, "w")
        alone, refused = measure(gateway, int(capacity / 2), 10, "a")
        if refused:
            raise SystemExit(f"{refused} messages were refused at half the capacity")
        full, _ = measure(gateway, int(capacity * 1.2), 10, "f")
        before = gateway.resident()
        admitted, refused = measure(gateway, int(capacity * options.times), options.seconds, "o")
        after = gateway.resident()
        print(f"half the capacity: p50 {quantile(alone, 0.5):.1f} ms, p99 {quantile(alone, 0.99):.1f} ms, none refused")
        print(f"1.2 times the capacity: {len(full) / 10:.0f} messages/s sent")
        print(f"{options.times:g} times, {options.seconds} s: {len(admitted) / options.seconds:.0f} messages/s sent "
              f"({len(admitted) / options.seconds / capacity:.2f} of {capacity:.0f}), {refused:,} refused; "
              f"p50 {quantile(admitted, 0.5):.1f} ms, p99 {quantile(admitted, 0.99):.1f} ms, "
              f"{quantile(admitted, 0.99) / quantile(alone, 0.99):.2f} times that at half the capacity")
        print(f"resident memory before and after: {before / 1e6:.1f} and {after / 1e6:.1f} MB, {after / before:.2f} times")


def quantile(times, share):
    return times[int(len(times) * share)] * 1e3


if __name__ == "__main__":
    main()
