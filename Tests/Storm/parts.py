"""The parts of a storm: processes that are started, killed and paused, and how they are talked to."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(condition, seconds, what):
    """Asks until `condition` holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException, RedisError):
            pass
        PAUSE.wait(0.02)
    raise SystemExit(f"storm: {what} did not come about within {seconds} s")


# Never set: waits for time to pass, where there is nothing else to wait for.
PAUSE = threading.Event()


class Server:
    """A process of ours. It is ended by its process id, and nothing else is."""

    def __init__(self, command, log):
        self.command, self.log, self.process = command, log, None
        self.paused = False

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.paused = False

    def pause(self):
        self.paused = True
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill()


class RedisError(Exception):
    pass


def redis(port, *words, timeout=2):
    """One command on a connection of its own; the reply as text, arrays as lists."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        encoded = [str(word).encode() for word in words]
        request = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
        connection.sendall(request)
        with connection.makefile("rb") as replies:
            return read_reply(replies)


def read_reply(replies):
    line = replies.readline().decode().rstrip("\r\n")
    if not line:
        raise RedisError("no reply")
    kind, rest = line[0], line[1:]
    if kind == "-":
        raise RedisError(rest)
    if kind == "$":
        return None if rest == "-1" else replies.read(int(rest) + 2)[:-2].decode()
    if kind == "*":
        return [read_reply(replies) for _ in range(int(rest))]
    return rest


class Redis:
    """One durable server: what it confirms is on disk."""

    def __init__(self, folder, *arguments):
        self.port = free_port()
        data = folder / f"redis-{self.port}"
        data.mkdir()
        self.server = Server(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(data), "--save", "",
             "--appendonly", "yes", "--appendfsync", "always", *arguments],
            folder / f"redis-{self.port}.log",
        )

    def start(self):
        self.server.start()
        wait_until(lambda: redis(self.port, "PING") == "PONG", 20, "Redis")

    @property
    def configuration(self):
        return f"url: redis://127.0.0.1:{self.port}"

    def stop(self):
        self.server.stop()


class SentinelRedis:
    """A master, two replicas and three Sentinels."""

    def __init__(self, folder):
        self.servers = [Redis(folder)]
        for _ in range(2):
            self.servers.append(Redis(folder, "--replicaof", "127.0.0.1", str(self.servers[0].port)))
        self.sentinels = []
        for _ in range(3):
            port = free_port()
            file = folder / f"sentinel-{port}.conf"
            file.write_text(
                f"port {port}\nbind 127.0.0.1\nsentinel monitor records 127.0.0.1 {self.servers[0].port} 2\n"
                "sentinel down-after-milliseconds records 1500\nsentinel failover-timeout records 6000\n"
                "sentinel parallel-syncs records 2\n"
            )
            server = Server(["redis-server", str(file), "--sentinel"], folder / f"sentinel-{port}.log")
            self.sentinels.append((port, server))

    def start(self):
        for server in self.servers:
            server.start()
        wait_until(lambda: self.replicates(self.servers[0].port), 30, "replication")
        for _, server in self.sentinels:
            server.start()
        wait_until(self.is_complete, 60, "the Sentinels' view of all")

    def is_complete(self):
        for port, _ in self.sentinels:
            words = redis(port, "SENTINEL", "MASTER", "records")
            state = dict(zip(words[::2], words[1::2]))
            if state["num-slaves"] != "2" or state["num-other-sentinels"] != "2" or state["flags"] != "master":
                return False
        return True

    def master_port(self):
        return int(redis(self.sentinels[0][0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "records")[1])

    @staticmethod
    def replicates(port):
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nsync\r\n$1\r\n1\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$3\r\n500\r\n")
            with connection.makefile("rb") as replies:
                return read_reply(replies) == "OK" and int(read_reply(replies)) >= 1

    @property
    def configuration(self):
        hosts = ",".join(f"127.0.0.1:{port}" for port, _ in self.sentinels)
        return f"url: 'redis://{hosts}', sentinel: {{master: records}}, waitReplicas: 1"

    def stop(self):
        for _, server in self.sentinels:
            server.stop()
        for server in self.servers:
            server.stop()


class Simulator:
    """Amazon, who knows the truth."""

    def __init__(self, binary, folder):
        self.port = free_port()
        self.server = Server([binary, "simulate", "--listen", f"127.0.0.1:{self.port}"], folder / "simulator.log")

    def start(self):
        self.server.start()
        wait_until(lambda: self.get("counters"), 20, "the simulator")

    def request(self, method, path, content=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, f"/_simulator/{path}", content)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise SystemExit(f"storm: the simulator says {answer.status} {text}")
        return json.loads(text) if text else None

    def get(self, path):
        return self.request("GET", path)

    def received(self):
        return sum(region["received"] for region in self.get("counters")["messages"].values())

    def stop(self):
        self.server.stop()


class Gateway:
    API_KEY = "storm-0123456789abcdef"

    def __init__(self, binary, folder, number, simulator, store):
        self.port, self.admin_port = free_port(), free_port()
        configuration = folder / f"gateway-{number}.yaml"
        base = f"http://127.0.0.1:{simulator.port}"
        (folder / "secret").write_text("simulator-secret")
        (folder / "key").write_text(self.API_KEY)
        configuration.write_text(
            f"""
listeners: [{{address: 127.0.0.1:{self.port}}}]
admin: {{address: 127.0.0.1:{self.admin_port}}}
regions: {{NA: {{apiEndpoint: {base}/na}}, EU: {{apiEndpoint: {base}/eu}}, FE: {{apiEndpoint: {base}/fe}}}}
tokenEndpoint: {base}/auth/o2/token
upstream: {{deadline: 1s}}
skills: [{{name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {{file: secret}}}}]
callers: [{{name: storm, apiKeys: [{{file: key}}], skills: [weather]}}]
idempotency: {{store: redis, redis: {{{store}}}}}
drain: {{notice: 0s}}
"""
        )
        self.server = Server([binary, "serve", "--config", str(configuration)], folder / f"gateway-{number}.log")

    def start(self):
        self.server.start()

    def is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=2)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        state = json.loads(answer.read())
        connection.close()
        return answer.status == 200 and state["store"]["up"]

    def stop(self):
        self.server.stop()


class Folder:
    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="storm-"))
        return self.path

    def __exit__(self, kind, *_):
        if kind is None and "STORM_KEEP" not in os.environ:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f"storm: logs are in {self.path}")
