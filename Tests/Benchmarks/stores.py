"""What the idempotency store costs a message: records in memory, few and many, in files, and on Redis, in one run.

Gateways that differ in nothing but the store forward the same messages, each under a fresh key, over TLS to an nginx that accepts
them all. Measured is the CPU time of the gateway process a message, in rounds that take turns; the ratios are medians of the
ratios of each round. The memory of a record is the growth of the process while it is filled.
"""

import re
import sys
import time

import bench


def fill(b, gateway, records):
    """Sends messages until the store holds so many. Returns the bytes that each took."""
    b.load(gateway, 2)
    before, count = gateway.resident(), gateway.records()
    while gateway.records() < records:
        b.load(gateway, 10)
        print(f"  {gateway.records():,} records", file=sys.stderr)
    return (gateway.resident() - before) / (gateway.records() - count)


def reopen(b, binary, folder, gateway):
    """Kills a gateway with files in `folder` and starts it again. Returns its records, the bytes of disk that each took, and the
    seconds until they were back."""
    records = gateway.records()
    size = sum(file.stat().st_size for file in folder.iterdir())
    b.kill(gateway)
    log = b.folder / "log"
    known = log.stat().st_size
    b.start(binary, "serve", "--config", b.folder / f"{gateway.name}.yaml")
    while True:
        text = log.read_bytes()[known:].decode(errors="replace")
        if found := re.search(r'"gateway.store.seconds":"([0-9.]+)"', text):
            return records, size / records, float(found[1])
        time.sleep(0.05)


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--records", type=int, default=5_000_000, help="in the full store in memory; 0 leaves it out")
    arguments.add_argument("--reopened", type=int, default=1_000_000, help="records in files that a start reads; 0 leaves it out")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=4, help="of each round and store")
    options = arguments.parse_args()
    with bench.bench() as b:
        limits = "{maximumRecords: 20000000, maximumBytes: 8GiB}"
        memory = f"idempotency: {{memory: {limits}}}"
        gateways = [b.gateway("memory", options.binary, memory)]
        for durability in ("process", "machine"):
            files = f"{{directory: {b.folder}/{durability}, durability: {durability}}}"
            gateways.append(b.gateway(f"file, {durability}", options.binary, f"idempotency: {{file: {files}, memory: {limits}}}"))
        redis = bench.free_port()
        b.start("redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--dir", b.folder)
        b.wait_for(redis)
        shared = f"idempotency: {{store: redis, redis: {{url: 'redis://127.0.0.1:{redis}'}}}}"
        gateways.append(b.gateway("redis", options.binary, shared))
        if options.reopened:
            folder = b.folder / "reopened"
            filled = b.gateway("filled", options.binary, f"idempotency: {{file: {{directory: {folder}}}, memory: {limits}}}")
            fill(b, filled, options.reopened)
            records, size, seconds = reopen(b, options.binary, folder, filled)
            print(f"{records:,} records in files: {size:.0f} bytes each, back {seconds:.2f} s after the start")
        if options.records:
            full = b.gateway("full memory", options.binary, memory)
            bytes_each = fill(b, full, options.records)
            print(f"{full.records():,} settled records in memory: {bytes_each:.0f} bytes each")
            gateways.append(full)

        def load(target):
            return lambda is_warm_up: b.load(target, 1 if is_warm_up else options.seconds)

        bench.compare({gateway.name: load(gateway) for gateway in gateways}, options.rounds, "memory")


if __name__ == "__main__":
    main()
