"""What receipts cost a message: the same gateway for a skill that reports messages, and for one that does not.

Both forward the same messages, each under a fresh key, over TLS to an nginx that accepts them all. Measured is the CPU time of the
gateway process a message, in rounds that take turns. Nobody reports the messages: a report is a request of its own.
"""

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--seconds", type=int, default=3, help="of each round")
    options = arguments.parse_args()
    with bench.bench() as b:
        (b.folder / "signing-key").write_text("a signing key of at least 32 bytes")
        settings = "receipts: {signingKeys: [{file: signing-key}]}"
        gateways = [
            b.gateway("without", options.binary), b.gateway("with receipts", options.binary, settings, receipts=True)]
        loads = {
            gateway.name: lambda is_first, gateway=gateway: b.load(gateway, 2 if is_first else options.seconds)
            for gateway in gateways}
        bench.compare(loads, options.rounds, "without")


if __name__ == "__main__":
    main()
