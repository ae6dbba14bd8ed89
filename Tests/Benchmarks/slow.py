"""Whether clients that are slow on purpose take anything from the others: 4,000 connections that send their head, their content or read their
answer a few bytes at a time (slowhttptest), beside a steady load from another address.

An open loop: messages leave when they are due. The share of messages that were answered 202, and their p99: alone, beside each attack,
and beside the same attack on a server that is none of ours, which takes the same from the machine's cores.
"""

import socket
import statistics
import subprocess

import bench
import latency

ATTACKS = {
    "slow heads": ["-H", "-i", "5"],
    "slow content": ["-B", "-i", "5", "-s", "8192"],
    "slow reads": ["-X", "-n", "1", "-w", "10", "-y", "20", "-k", "3"],
}


class FromElsewhere(latency.Connection):
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--rate", type=int, default=500, help="messages a second")
    arguments.add_argument("--connections", type=int, default=4000, help="of the attacker")
    arguments.add_argument("--seconds", type=int, default=20, help="of each attack")
    options = arguments.parse_args()
    latency.Connection = FromElsewhere
    with bench.bench() as b:
        gateway = b.gateway("gateway", options.binary)
        other = b.peer("nginx-plain")
        latency.measure(gateway, options.rate, 2, 32, "w")
        alone = [quantile(latency.measure(gateway, options.rate, 5, 32, f"a{number}")) for number in range(4)]
        print(f"alone: p99 {statistics.median(alone) * 1e3:.2f} ms of {options.rate} messages a second")
        for name, how in ATTACKS.items():
            p99 = {}
            for target in (other, gateway):
                # The attacker has a machine of its own: here it gets the cores only while nobody else wants them.
                attack = b.start(
                    "chrt", "-i", "0", "slowhttptest", "-c", options.connections, "-r", 1000, "-l", options.seconds, "-p", 3, *how, "-u",
                    f"http://127.0.0.1:{target.port}/v1/skillmessages/users/x", "-t", "POST")
                # `measure` ends the run if one message has another answer than 202, or none.
                times = latency.measure(gateway, options.rate, options.seconds - 4, 32, f"{name[5:9]}-{target.name}")
                attack.wait()
                p99[target] = quantile(times)
            print(f"{name}: every message 202, p99 {p99[gateway] * 1e3:.2f} ms, "
                  f"{p99[gateway] / statistics.median(alone):.2f} times that alone, {p99[gateway] / p99[other]:.2f} times that "
                  f"beside the same attack on another server; resident {gateway.resident() / 1e6:.0f} MB")


def quantile(times):
    return times[int(len(times) * 0.99)]


if __name__ == "__main__":
    main()
