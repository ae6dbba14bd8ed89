"""Resident memory: idle, after many messages with a bounded store, and for each connection that is kept open."""

import resource
import socket
import threading

import bench


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--messages", type=int, default=1_000_000)
    arguments.add_argument("--records", type=int, default=100_000, help="the store's bound")
    # One address has half of the connections that the open-file limit leaves.
    arguments.add_argument("--connections", type=int, default=4_000)
    options = arguments.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with bench.bench() as b:
        settings = f"idempotency: {{memory: {{maximumRecords: {options.records}}}}}"
        gateway = b.gateway("gateway", options.binary, settings)
        threading.Event().wait(3)
        print(f"idle: {gateway.resident() / 1e6:.1f} MB", flush=True)
        sent = 0
        while sent < options.messages:
            load = b.load(gateway, 10)
            sent += int(load.speed * 10)
        print(f"after {sent:,} messages: {gateway.resident() / 1e6:.1f} MB, {gateway.records():,} records", flush=True)

        idle = b.gateway("connections", options.binary, settings)
        b.load(idle, 1)
        before, open_connections = idle.resident(), []
        request = (
            b"GET /v1/idempotency-keys/k HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + bench.KEY.encode() + b"\r\n\r\n")
        for _ in range(options.connections):
            connection = socket.create_connection(("127.0.0.1", idle.port))
            connection.sendall(request)
            if not connection.recv(1000).startswith(b"HTTP/1.1 200"):
                raise SystemExit("a connection was not answered")
            open_connections.append(connection)
        growth = (idle.resident() - before) / options.connections
        print(f"{options.connections:,} connections, each served once and idle: {growth / 1024:.1f} KiB each")


if __name__ == "__main__":
    main()
