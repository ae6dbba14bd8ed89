"""Latency under a steady load: messages leave at set times whether or not answers have come (an open loop).

The gateway and its peers take turns. A message's latency counts from the moment at which it was due, so one that has to wait for a
free connection, or behind a slow one, shows it. Figures are medians of the rounds' quantiles.
"""

import collections
import gc
import select
import socket
import statistics
import time

import bench


def request(number, run):
    content = b'{"data":{"order":"12345678","state":"shipped","text":"' + b"x" * 60 + b'"},"expiresAfterSeconds":3600}'
    return (
        b"POST /v1/skillmessages/users/amzn1.ask.account.NA-" + b"A" * 180 + str(number % 1000).encode() + b" HTTP/1.1\r\n"
        b"Host: 127.0.0.1\r\nAuthorization: Bearer " + bench.KEY.encode() + b"\r\nContent-Type: application/json\r\n"
        b"Gateway-Region: NA\r\nIdempotency-Key: latency-" + str(run).encode() + b"-" + str(number).encode() + b"\r\n"
        b"Content-Length: " + str(len(content)).encode() + b"\r\n\r\n" + content)


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0


def measure(target, rate, seconds, connections, run, make=request, expected=(b"202",), of=None):
    """Returns the latencies in seconds, sorted.

    make: makes a request of its number and the run; expected: the statuses that answers may have; of: the status of the answers whose
    latencies are returned, None for all.
    """
    # In turn: one that is never used would be closed.
    free = collections.deque(Connection(target.port) for _ in range(connections))
    poll = select.epoll()
    by_file = {}
    for connection in free:
        by_file[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    total, sent, answered, latencies = rate * seconds, 0, 0, []
    start = time.perf_counter() + 0.05
    gc.disable()
    while answered < total:
        now = time.perf_counter()
        while sent < total and free and start + sent / rate <= now:
            connection = free.popleft()
            connection.due = start + sent / rate
            connection.socket.sendall(make(sent, run))
            sent += 1
        if sent < total and free:
            wait = max(0, start + sent / rate - time.perf_counter())
        else:
            wait = 5  # nothing is due before an answer comes
        # epoll alone waits in milliseconds; select, on the epoll, in microseconds.
        if not select.select([poll], [], [], wait)[0]:
            if wait == 5:
                raise SystemExit(f"{target.name}: no answer for 5 s")
            continue
        for file, _ in poll.poll(0):
            connection = by_file[file]
            answer = connection.socket.recv(65536)
            answered += 1
            if of in (None, answer[9:12]):
                latencies.append(time.perf_counter() - connection.due)
            # Answers are a few hundred bytes, written at once.
            if answer[9:12] not in expected or b"\r\n\r\n" not in answer:
                raise SystemExit(f"{target.name}: {answer[:300]}")
            free.append(connection)
    gc.enable()
    for connection in by_file.values():
        connection.socket.close()
    return sorted(latencies)


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--peers", default="nginx-plain,nginx-lua", help="of nginx-plain, nginx-lua, haproxy, caddy")
    arguments.add_argument("--rate", type=int, default=1000, help="messages a second")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--seconds", type=int, default=5, help="of each round and each peer")
    arguments.add_argument("--connections", type=int, default=64)
    options = arguments.parse_args()
    with bench.bench() as b:
        targets = [b.gateway("gateway", options.binary)] + [b.peer(name) for name in options.peers.split(",")]
        quantiles = {target.name: [] for target in targets}
        for number in range(options.rounds + 1):
            for target in targets:
                seconds = options.seconds if number else 1
                latencies = measure(target, options.rate, seconds, options.connections, number)
                if number:
                    quantiles[target.name].append(
                        [latencies[int(len(latencies) * share)] for share in (0.5, 0.9, 0.99, 0.999)] + latencies[-1:])
        print(f"{options.rate} messages/s, {options.rounds} rounds of {options.seconds} s; milliseconds")
        print(f"{'':14}" + "".join(f"{name:>10}" for name in ("p50", "p90", "p99", "p99.9", "longest")))
        medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in quantiles.items()}
        for name, row in medians.items():
            print(f"{name:14}" + "".join(f"{value * 1e3:>10.3f}" for value in row))
        for target in targets[1:]:
            p50 = medians["gateway"][0] - medians[target.name][0]
            p99 = medians["gateway"][2] / medians[target.name][2]
            print(f"gateway beside {target.name}: p50 {p50 * 1e3:+.3f} ms, p99 times {p99:.2f}")


if __name__ == "__main__":
    main()
