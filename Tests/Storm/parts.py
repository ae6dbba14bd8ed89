"""The parts of a storm: processes that are started, killed and paused, and how they are talked to."""

import collections
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
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

    @staticmethod
    def answers(port):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True


class RedisError(Exception):
    pass


def redis(place, *words, timeout=2):
    """One command on a connection of its own; the reply as text, arrays as lists."""
    with socket.create_connection(place, timeout=timeout) as connection:
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


DURABILITY = {
    # What it confirms is on disk.
    "always": ["--save", "", "--appendonly", "yes", "--appendfsync", "always"],
    "everysec": ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"],
    # Redis's own defaults.
    "snapshots": ["--appendonly", "no"],
}


class Redis:
    """One server, on this machine or on a host of its own."""

    def __init__(self, folder, options, *arguments, host=None):
        self.host = host
        self.port = 6379 if host else free_port()
        self.address = host.address if host else "127.0.0.1"
        self.place = (self.address, self.port)
        self.data = folder / f"redis-{self.address}-{self.port}"
        self.data.mkdir()
        command = ["redis-server", "--port", str(self.port), "--bind", "0.0.0.0" if host else "127.0.0.1",
                   "--protected-mode", "no", "--dir", str(self.data), *DURABILITY[options.durability], "--hz", str(options.hz),
                   "--maxmemory-policy", options.policy, "--maxmemory", options.maxmemory, *arguments]
        self.server = Server(host.command(*command) if host else command, folder / f"{self.data.name}.log")

    def start(self):
        self.server.start()
        wait_until(lambda: redis(self.place, "PING") == "PONG", 20, "Redis")

    def stop(self):
        self.server.stop()


class Files:
    """No server: the records of the one gateway are in files of its own."""

    kind = "file"
    servers = ()
    configuration = None

    def __init__(self, folder, options, network=None):
        self.idempotency = f"{{store: file, file: {{directory: records, durability: {options.file_durability}}}}}"

    def start(self):
        pass

    def stop(self):
        pass


class SingleRedis:
    """One server, whatever becomes of it."""

    kind = "single"

    def __init__(self, folder, options, network=None):
        self.servers = [Redis(folder, options)]
        self.configuration = f"url: redis://127.0.0.1:{self.servers[0].port}"

    def start(self):
        self.servers[0].start()

    def stop(self):
        self.servers[0].stop()

    def masters(self):
        return self.servers


class SentinelRedis:
    """A master, two replicas and three Sentinels; the Sentinels share a host."""

    kind = "sentinel"

    def __init__(self, folder, options, network=None):
        hosts = [network.host() if network else None for _ in range(3)]
        self.servers = [Redis(folder, options, host=hosts[0])]
        first = self.servers[0]
        for host in hosts[1:]:
            self.servers.append(Redis(folder, options, "--replicaof", first.address, str(first.port), host=host))
        self.sentinels = []
        self.observers = network.host() if network else None
        for number in range(3):
            host = self.observers
            port = 26379 + number if host else free_port()
            address = host.address if host else "127.0.0.1"
            file = folder / f"sentinel-{address}-{port}.conf"
            file.write_text(
                f"port {port}\nprotected-mode no\nsentinel monitor records {first.address} {first.port} 2\n"
                "sentinel down-after-milliseconds records 1500\nsentinel failover-timeout records 6000\n"
                "sentinel parallel-syncs records 2\n"
            )
            command = ["redis-server", str(file), "--sentinel"]
            server = Server(host.command(*command) if host else command, file.with_suffix(".log"))
            self.sentinels.append(((address, port), server))
        places = ",".join(f"{address}:{port}" for (address, port), _ in self.sentinels)
        self.configuration = f"url: 'redis://{places}', sentinel: {{master: records}}"

    def start(self):
        for server in self.servers:
            server.start()
        wait_until(lambda: self.replicates(self.servers[0].place), 30, "replication")
        for _, server in self.sentinels:
            server.start()
        wait_until(self.is_complete, 60, "the Sentinels' view of all")

    def is_complete(self):
        for place, _ in self.sentinels:
            words = redis(place, "SENTINEL", "MASTER", "records")
            state = dict(zip(words[::2], words[1::2]))
            if state["num-slaves"] != "2" or state["num-other-sentinels"] != "2" or state["flags"] != "master":
                return False
            for words in redis(place, "SENTINEL", "REPLICAS", "records"):
                if dict(zip(words[::2], words[1::2]))["flags"] != "slave":
                    return False
        # Two faults at once are one too many: a replica that has not caught up yet may be promoted.
        return self.replicates(self.master().place, 2)

    def master(self):
        """As most Sentinels see it."""
        views = []
        for place, _ in self.sentinels:
            address, port = redis(place, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "records")
            views.append((address, int(port)))
        place = max(views, key=views.count)
        return next(server for server in self.servers if server.place == place)

    def masters(self):
        return [self.master()]

    @staticmethod
    def replicates(place, replicas=1):
        with socket.create_connection(place, timeout=3) as connection:
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nsync\r\n$1\r\n1\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n%d\r\n$3\r\n500\r\n" % replicas)
            with connection.makefile("rb") as replies:
                return read_reply(replies) == "OK" and int(read_reply(replies)) >= replicas

    def stop(self):
        for _, server in self.sentinels:
            server.stop()
        for server in self.servers:
            server.stop()


class ClusterRedis:
    """Three masters with a replica each."""

    kind = "cluster"

    def __init__(self, folder, options, network=None):
        self.servers = []
        for _ in range(6):
            host = network.host() if network else None
            # On one machine the bus needs a port that is free, too.
            bus = [] if host else ["--cluster-port", str(free_port())]
            self.servers.append(
                Redis(folder, options, "--cluster-enabled", "yes", "--cluster-node-timeout", "1500", *bus, host=host))
        self.configuration = f"url: 'redis://{self.servers[0].address}:{self.servers[0].port}', cluster: true"

    def start(self):
        for server in self.servers:
            server.start()
        places = [f"{server.address}:{server.port}" for server in self.servers]
        made = subprocess.run(
            ["redis-cli", "--cluster", "create", *places, "--cluster-replicas", "1", "--cluster-yes"],
            capture_output=True, text=True)
        if made.returncode:
            raise SystemExit(f"storm: no cluster: {made.stdout[-500:]}{made.stderr[-500:]}")
        wait_until(self.is_complete, 60, "the cluster")

    def nodes(self, server):
        """By address, what one node takes the others for."""
        lines = redis(server.place, "CLUSTER", "NODES").splitlines()
        return {line.split()[1].split("@")[0]: line.split()[2].replace("myself,", "") for line in lines}

    def is_complete(self):
        for server in self.servers:
            if "cluster_state:ok" not in redis(server.place, "CLUSTER", "INFO"):
                return False
            views = self.nodes(server)
            if sorted(views.values()) != ["master"] * 3 + ["slave"] * 3:
                return False
        return all(
            "master_link_status:up" in redis(server.place, "INFO", "replication")
            for server in self.servers if server not in self.masters())

    def masters(self):
        """As most nodes see it."""
        views = [self.nodes(server) for server in self.servers]
        return [server for server in self.servers
                if sum(view.get(f"{server.address}:{server.port}") == "master" for view in views) * 2 > len(views)]

    def stop(self):
        for server in self.servers:
            server.stop()


class Pings:
    """A client that keeps a server busy and hears from it all the time, so that it does not look dead."""

    def __init__(self, place, rate):
        self.place, self.rate, self.is_over = place, rate, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with socket.create_connection(self.place, timeout=5) as connection:
            while not self.is_over.wait(1 / self.rate):
                connection.sendall(b"PING\r\n")
                connection.recv(7)

    def stop(self):
        self.is_over.set()
        self.thread.join()


class Slow:
    """Hands bytes on between gateways and one server, each `delay` seconds late, and now and then stands still for longer: TCP over
    a network that is far and loses something."""

    def __init__(self, target, delay, share, stall):
        self.target, self.delay, self.share, self.stall = target, delay, share, stall
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            for source, sink in ((client, server), (server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                queue = collections.deque()
                ready = threading.Semaphore(0)
                threading.Thread(target=self.read, args=(source, queue, ready), daemon=True).start()
                threading.Thread(target=self.write, args=(sink, queue, ready), daemon=True).start()

    def read(self, source, queue, ready):
        last = 0.0
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            due = time.monotonic() + self.delay + (self.stall if random.random() < self.share else 0)
            # In order: what comes behind something that is late is late, too.
            last = max(last, due)
            queue.append((last, data))
            ready.release()
            if not data:
                return

    def write(self, sink, queue, ready):
        while True:
            ready.acquire()
            due, data = queue.popleft()
            PAUSE.wait(max(0, due - time.monotonic()))
            try:
                if not data:
                    return sink.shutdown(socket.SHUT_WR)
                sink.sendall(data)
            except OSError:
                return

    def stop(self):
        self.listener.close()


class Simulator:
    """Amazon, who knows the truth. With `http2` it speaks TLS, and thereby HTTP/2."""

    def __init__(self, binary, folder, skill=None, http2=False):
        self.port = free_port()
        self.certificate = folder / "simulator.pem" if http2 else None
        self.url = f"https://localhost:{self.port}" if http2 else f"http://127.0.0.1:{self.port}"
        tls = []
        if http2:
            key = folder / "simulator-key.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.certificate],
                check=True, stderr=subprocess.DEVNULL)
            tls = ["--tls-cert", str(self.certificate), "--tls-key", str(key)]
        delivery = ["--skill-endpoint", f"http://127.0.0.1:{skill.port}/", "--delivery-speed", "30"] if skill else []
        self.server = Server(
            [binary, "simulate", "--listen", f"127.0.0.1:{self.port}", *tls, *delivery], folder / "simulator.log")

    def start(self):
        self.server.start()
        wait_until(lambda: self.get("counters"), 20, "the simulator")

    def request(self, method, path, content=None):
        connection = self.connection()
        connection.request(method, f"/_simulator/{path}", content)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise SystemExit(f"storm: the simulator says {answer.status} {text}")
        return json.loads(text) if text else None

    def connection(self):
        if not self.certificate:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection("localhost", self.port, timeout=120, context=context)

    def get(self, path):
        return self.request("GET", path)

    def received(self):
        return sum(region["received"] for region in self.get("counters")["messages"].values())

    def stop(self):
        self.server.stop()


class Skill:
    """A skill that reports the messages that it gets."""

    def __init__(self, folder):
        self.folder, self.port, self.server = folder, free_port(), None

    def start(self, gateways):
        script = Path(__file__).parent / "skill.py"
        ports = [str(gateway.port) for gateway in gateways]
        self.server = Server([sys.executable, script, str(self.port), *ports], self.folder / "skill.log")
        self.server.start()
        wait_until(lambda: self.handled() is not None, 20, "the skill")

    def handled(self):
        """By message, how often."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/")
        handled = json.loads(connection.getresponse().read())
        connection.close()
        return handled

    def stop(self):
        if self.server:
            self.server.stop()


class Gateway:
    API_KEY = "storm-0123456789abcdef"
    OTHER_KEY = "other-0123456789abcdef"
    OPERATOR_KEY = "operator-0123456789abcdef"

    def __init__(self, binary, folder, number, simulator, store, drain="notice: 0s", idempotency=None,
                 listener=None, deadline="1s", reports=False):
        idempotency = idempotency or f"{{store: redis, redis: {{{store}}}}}"
        self.port, self.admin_port = free_port(), free_port()
        configuration = folder / f"gateway-{number}.yaml"
        base = simulator.url
        trust = f", trust: {{caFile: {simulator.certificate}}}" if simulator.certificate else ""
        (folder / "secret").write_text("simulator-secret")
        (folder / "key").write_text(self.API_KEY)
        (folder / "other-key").write_text(self.OTHER_KEY)
        (folder / "operator-key").write_text(self.OPERATOR_KEY)
        (folder / "signing-key").write_text("a signing key of at least 32 bytes")
        configuration.write_text(
            f"""
listeners: [{{address: "{listener or f"127.0.0.1:{self.port}"}"}}]
admin: {{address: 127.0.0.1:{self.admin_port}, operators: [{{name: storm, keys: [{{file: operator-key}}]}}]}}
regions: {{NA: {{apiEndpoint: {base}/na}}, EU: {{apiEndpoint: {base}/eu}}, FE: {{apiEndpoint: {base}/fe}}}}
tokenEndpoint: {base}/auth/o2/token
upstream: {{deadline: {deadline}{trust}}}
skills: [{{name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {{file: secret}}{", receipts: {member: receipt}" if reports else ""}}}]
{"receipts: {signingKeys: [{file: signing-key}]}" if reports else ""}
callers:
  - {{name: storm, apiKeys: [{{file: key}}], skills: [weather]}}
  - {{name: other, apiKeys: [{{file: other-key}}], skills: [weather]}}
idempotency: {idempotency}
drain: {{{drain}}}
"""
        )
        self.server = Server([binary, "serve", "--config", str(configuration)], folder / f"gateway-{number}.log")

    def start(self):
        self.server.start()

    @classmethod
    def key_of(cls, message):
        """Each message is always the same caller's."""
        return cls.OTHER_KEY if sum(message.encode()) % 2 else cls.API_KEY

    def operate(self, verb, **parameters):
        """Does what an operator can do: `pause`, `resume`, `log-level` or `drain`. Returns the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=2)
        headers = {"Authorization": f"Bearer {self.OPERATOR_KEY}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/{verb}", json.dumps(parameters), headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def report(self, message):
        """What has become of a message's key."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=8)
        connection.request(
            "GET", f"/v1/idempotency-keys/{message}", headers={"Authorization": f"Bearer {self.key_of(message)}"})
        report = json.loads(connection.getresponse().read())
        connection.close()
        return report

    def connections(self):
        """To the regions, since it started, by protocol."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=2)
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
        connection.close()
        counts = collections.Counter()
        for protocol, count in re.findall(r'_connections_established_total\{.*protocol="(.*)"\} (\d+)', page):
            counts[protocol] += int(count)
        return counts

    def is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=2)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        state = json.loads(answer.read())
        connection.close()
        return answer.status == 200 and state.get("store", {"up": True})["up"]

    def restart(self):
        """Ends it as a service manager would; returns when the next process is ready."""
        self.server.process.send_signal(signal.SIGTERM)
        code = self.server.process.wait(60)
        if code:
            raise SystemExit(f"a gateway ended with {code}")
        self.start()
        wait_until(self.is_ready, 20, "a gateway after its restart")

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
