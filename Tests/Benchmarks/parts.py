"""What the parts of the work on a message cost: each is left out, or put in, while all else stays.

Metrics and validation cannot be switched off by configuration; `run` builds binaries without them. Idempotency is left out by
sending no key, and the access log is off unless it is configured.
"""

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--without", action="append", default=[], metavar="PART=BINARY", help="a binary built without a part")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--seconds", type=int, default=3, help="of each round and each row")
    options = arguments.parse_args()
    with bench.bench() as b:
        base = "all of it"

        def load(target, repeats=0):
            return lambda is_warm_up: b.load(target, 1 if is_warm_up else options.seconds, repeats=repeats)

        whole = b.gateway(base, options.binary)
        rows = {base: load(whole), "without idempotency (no key)": load(whole, -1)}
        for pair in options.without:
            part, binary = pair.split("=", 1)
            rows[f"without {part}"] = load(b.gateway(f"without {part}", binary))
        logging = b.gateway("with access log", options.binary, f"accessLog: {{file: {b.folder}/access.log}}")
        rows["with the access log"] = load(logging)
        bench.compare(rows, options.rounds, base)


if __name__ == "__main__":
    main()
