"""Starts a command as systemd starts a service with a socket: service_manager.py NAME HOST COMMAND…

The command gets a listening socket as its third descriptor, and a socket to tell how it is. Says where the first listens, and what is
told on the second. Signals are passed on.
"""

import json
import os
import signal
import socket
import sys
import tempfile
import threading

name, host, *command = sys.argv[1:]
listener = socket.create_server((host, 0))
folder = tempfile.TemporaryDirectory()
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind(folder.name + "/notify")

child = os.fork()
if child == 0:
    os.dup2(listener.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(
        LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=name, NOTIFY_SOCKET=folder.name + "/notify")
    os.execv(command[0], command)

print(json.dumps({"manager.listener": f"127.0.0.1:{listener.getsockname()[1]}"}), file=sys.stderr, flush=True)


def listen():
    while True:
        print("told:", told.recv(4096).decode().replace("\n", " "), file=sys.stderr, flush=True)


threading.Thread(target=listen, daemon=True).start()
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(child, number))
while True:
    try:
        _, status = os.waitpid(child, 0)
        break
    except InterruptedError:
        pass
sys.exit(os.waitstatus_to_exitcode(status))
