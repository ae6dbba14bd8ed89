"""CPU a message beside what one would use instead, in one run.

Each forwards the same messages over TLS to the same upstream with one worker or event loop. nginx-plain and haproxy do none of
the gateway's work: they put in a fixed token. nginx-lua does it in Lua: caller's key, validation, idempotency with fingerprint and
replay, region, token, counters. Every round runs each for some seconds; ratios are medians of the rounds' ratios.
"""

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--peers", default="nginx-plain,nginx-lua", help="of nginx-plain, nginx-lua, haproxy, caddy")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=4, help="of each round and each peer")
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--repeats", type=int, default=0, help="use N idempotency keys again: the replay path")
    arguments.add_argument("--upstream-http2", action="store_true", help="the upstream offers HTTP/2; the peers go on with HTTP/1.1")
    options = arguments.parse_args()
    with bench.bench(options.upstream_http2) as b:
        targets = [b.gateway("gateway", options.binary)] + [b.peer(name) for name in options.peers.split(",")]

        def load(target):
            return lambda is_warm_up: b.load(
                target, 1 if is_warm_up else options.seconds, options.connections, options.repeats)

        results = bench.compare({target.name: load(target) for target in targets}, options.rounds, "gateway")
        for name, runs in results.items():
            if name != "gateway":
                ratio = bench.statistics.median(
                    gateway.cost / run.cost for gateway, run in zip(results["gateway"], runs))
                print(f"gateway / {name}: {ratio:.2f}")
        for target in targets:
            print(f"{target.name}: {target.resident() / 1e6:.0f} MB resident")


if __name__ == "__main__":
    main()
