"""How the CPU a message takes grows: with event loops, connections, the size of the message."""

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=3, help="of each round and each row")
    options = arguments.parse_args()
    with bench.bench() as b:
        one = b.gateway("one event loop", options.binary, event_loops=1)
        two = b.gateway("two event loops", options.binary, event_loops=2)

        def load(target, connections=64, text_bytes=60):
            return lambda is_warm_up: b.load(
                target, 1 if is_warm_up else options.seconds, connections, text_bytes=text_bytes)

        base = "1 event loop, 64 connections"
        rows = {base: load(one), "2 event loops, 64 connections": load(two)}
        for connections in (1, 8, 256, 1000):
            rows[f"{connections} connections"] = load(one, connections)
        for text_bytes in (1000, 3000, 6000):
            rows[f"text of {text_bytes} bytes"] = load(one, text_bytes=text_bytes)
        bench.compare(rows, options.rounds, base)


if __name__ == "__main__":
    main()
