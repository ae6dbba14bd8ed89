"""One gateway with records in files is replaced by its successor, again and again, under a steady load, as systemd does it: the listening
socket stays open between them. Every message is to be answered 202, none is to be refused a connection, and Amazon is to have
each once.
"""

import argparse
import os
import socket
import subprocess
import sys

from parts import PAUSE, Folder, Gateway, Server, Simulator, wait_until
from steady import Load


class InheritingServer(Server):
    """A process that is given a listening socket as its third descriptor."""

    def __init__(self, command, log, listener, name):
        super().__init__(command, log)
        self.listener, self.name = listener, name

    def start(self):
        # The number of the process is known once there is one.
        command = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *self.command]
        environment = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": self.name}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, pass_fds=[3])


def main():
    parser = argparse.ArgumentParser(prog="Tests/storm upgrade", description=__doc__)
    parser.add_argument("--binary", required=True, help="the skillgate to test")
    parser.add_argument("--rounds", type=int, default=30, help="upgrades")
    parser.add_argument("--rate", type=int, default=1000, help="messages a second")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    os.dup2(listener.fileno(), 3)
    os.set_inheritable(3, True)
    port = listener.getsockname()[1]
    with Folder() as folder:
        simulator = Simulator(options.binary, folder)
        gateway = Gateway(
            options.binary, folder, 0, simulator, None, drain="notice: 1s",
            idempotency="{file: {directory: records}}", listener="systemd:gateway", deadline="5s")
        gateway.server = InheritingServer(gateway.server.command, gateway.server.log, listener, "gateway")
        try:
            simulator.start()
            gateway.start()
            wait_until(gateway.is_ready, 20, "the gateway")
            run(options, simulator, gateway, port)
        finally:
            gateway.stop()
            simulator.stop()


def run(options, simulator, gateway, port):
    load = Load(port, options.rate, "upgrade")
    for _ in range(options.rounds):
        gateway.restart()
        PAUSE.wait(1)
    load.end_with(simulator, f"{options.rounds} upgrades at {options.rate} messages/s")


if __name__ == "__main__":
    sys.exit(main())
