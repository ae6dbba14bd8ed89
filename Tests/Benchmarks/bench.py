"""What all measurements share: the upstream, gateways, peers, and the load that is put on them."""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path

KEY = "benchmark-0123456789abcdef"
TOKEN = "Atc|" + "x" * 360
PEERS = Path(__file__).parent / "Peers"
TEMPORARY = """
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;"""

LUA = """
local thread = 0
function setup(t) t:set("id", thread) thread = thread + 1 end
function init(args)
  round = args[1] repeats = tonumber(args[2]) count = 0
  content = '{"data":{"order":"12345678","state":"shipped","text":"' .. string.rep("x", tonumber(args[3])) .. '"},"expiresAfterSeconds":3600}'
  fields = {["Authorization"] = "Bearer " .. args[4], ["Content-Type"] = "application/json", ["Gateway-Region"] = "NA"}
end
function request()
  count = count + 1
  local number = count
  if repeats > 0 then number = count % repeats end
  if repeats >= 0 then fields["Idempotency-Key"] = round .. "-" .. id .. "-" .. number end
  return wrk.format("POST", "/v1/skillmessages/users/amzn1.ask.account.NA-" .. string.rep("A", 180) .. (number % 1000), fields, content)
end
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def parser(doc):
    arguments = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
        prog=f"Tests/Benchmarks/run {Path(sys.argv[0]).stem}")
    arguments.add_argument("--binary", default=os.environ.get("TEST_SKILLGATE"), help="the skillgate to measure")
    return arguments


class Target:
    """A process that forwards messages: its address, and what the kernel says of it."""

    def __init__(self, name, port, pid):
        self.name, self.port, self.pid = name, port, pid

    def cpu(self):
        """Seconds of CPU so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        """Bytes of resident memory."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024


class Gateway(Target):
    def __init__(self, bench, name, binary, settings, event_loops, callers, region, upstream, receipts=False):
        self.admin_port = free_port()
        port = free_port()
        base = region or f"https://localhost:{bench.upstream}"
        file = bench.folder / f"{name.replace(' ', '-')}.yaml"
        file.write_text(
            f"""
eventLoops: {event_loops}
listeners: [{{address: 127.0.0.1:{port}}}]
admin: {{address: 127.0.0.1:{self.admin_port}}}
regions: {{NA: {{apiEndpoint: {base}{"/na" if region else ""}}}, EU: {{apiEndpoint: {base}/eu}}, FE: {{apiEndpoint: {base}/fe}}}}
tokenEndpoint: {base}/auth/o2/token
upstream: {{trust: {{caFile: cert.pem}}, {upstream}}}
skills: [{{name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {{file: secret}}, defaultRegion: NA{", receipts: {member: receipt}" if receipts else ""}}}]
callers:
  - {{name: bench, apiKeys: [{{file: key}}], skills: [weather]}}
{callers}
{settings}
"""
        )
        super().__init__(name, port, bench.start(binary, "serve", "--config", str(file)).pid)

    def admin(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/{path}", timeout=30) as answer:
            return answer.read().decode()

    def records(self):
        return sum(
            int(line.split()[-1]) for line in self.admin("metrics").splitlines()
            if line.startswith("skillgate_idempotency_records{")
        )


class Bench:
    def __init__(self, folder, http2, restarts):
        self.folder, self.processes, self.rounds, self.http2, self.restarts = folder, [], 0, http2, restarts
        self.upstream = free_port()
        (folder / "secret").write_text("simulator-secret")
        (folder / "key").write_text(KEY)
        (folder / "request.lua").write_text(LUA)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost"], check=True, capture_output=True,
        )
        self.upstream_process = self._nginx("upstream", self.upstream, master="on" if restarts else "off")

    def start(self, *command, **environment):
        log = open(self.folder / "log", "ab")
        process = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env=dict(os.environ, **environment))
        self.processes.append(process)
        return process

    def kill(self, target):
        for process in self.processes:
            if process.pid == target.pid:
                process.kill()
                process.wait()

    def stop(self):
        for process in self.processes:
            # A master takes its workers along.
            if self.restarts and process is self.upstream_process:
                process.terminate()
            else:
                process.kill()
            process.wait()

    def wait_for(self, port):
        for _ in range(500):
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                threading.Event().wait(0.02)
        raise SystemExit(f"nothing listens on port {port}: see {self.folder}/log")

    def _configuration(self, name, port):
        text = (PEERS / name).read_text()
        values = {
            "TEMPORARY": TEMPORARY, "FOLDER": self.folder, "PORT": port, "UPSTREAM": self.upstream, "TOKEN": TOKEN,
            "KEY": KEY, "PROTOCOLS": "ssl http2" if self.http2 else "ssl"}
        for word, value in values.items():
            text = re.sub(rf"\b{word}\b", str(value), text)
        path = self.folder / name
        path.write_text(text)
        return path

    def _nginx(self, name, port, master="off"):
        log = self.folder / f"{name}.log"
        process = self.start(
            "nginx", "-e", log, "-c", self._configuration(f"{name}.conf", port), "-g",
            f"daemon off; master_process {master}; pid {self.folder}/{name}.pid; error_log {log} crit;")
        self.wait_for(port)
        return process

    def peer(self, name):
        port = free_port()
        if name.startswith("nginx"):
            return Target(name, port, self._nginx(name, port).pid)
        if name == "haproxy":
            process = self.start("haproxy", "-db", "-f", self._configuration("haproxy.cfg", port))
        elif name == "caddy":
            process = self.start(
                "caddy", "run", "--config", self._configuration("Caddyfile", port), "--adapter", "caddyfile",
                GOMAXPROCS="1", HOME=str(self.folder))
        else:
            raise SystemExit(f"{name} is no peer; expected nginx-plain, nginx-lua, haproxy or caddy")
        self.wait_for(port)
        return Target(name, port, process.pid)

    def simulator(self, binary, faults):
        """Starts an Amazon that behaves as `faults` say; returns its URL."""
        port = free_port()
        self.start(binary, "simulate", "--listen", f"127.0.0.1:{port}")
        self.wait_for(port)
        url = f"http://127.0.0.1:{port}"
        urllib.request.urlopen(urllib.request.Request(
            f"{url}/_simulator/faults", json.dumps(faults).encode(), {"Content-Type": "application/json"}, method="PUT"))
        return url

    def gateway(self, name, binary, settings="", event_loops=1, callers="", region=None, upstream="", receipts=False):
        """Starts a gateway. region: the URL of a simulator, None for the upstream of all; upstream: members of that section."""
        gateway = Gateway(self, name, binary, settings, event_loops, callers, region, upstream, receipts)
        for _ in range(500):
            try:
                if gateway.admin("readyz"):
                    return gateway
            except OSError:
                threading.Event().wait(0.02)
        raise SystemExit(f"the gateway for {name} did not become ready: see {self.folder}/log")

    def load(self, target, seconds, connections=64, repeats=0, text_bytes=60, credential=KEY):
        """Puts load on a target and returns what it was like.

        repeats: 0 for a fresh idempotency key with each message, N to use N keys again and again, -1 for no key.
        """
        self.rounds += 1
        run = "repeated" if repeats > 0 else self.rounds
        before = target.cpu()
        output = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s",
             str(self.folder / "request.lua"), f"http://127.0.0.1:{target.port}", "--", str(run), str(repeats),
             str(text_bytes), credential],
            check=True, capture_output=True, text=True).stdout
        cpu = target.cpu() - before
        if "Non-2xx" in output or "Socket errors" in output:
            raise SystemExit(f"{target.name}: {output}")
        messages = int(re.search(r"(\d+) requests in", output)[1])
        times = {quantile: re.search(rf"\s{quantile}%\s+(\S+)", output)[1] for quantile in (50, 99)}
        return Load(cpu * 1e6 / messages, messages / seconds, times[50], times[99])


class Load:
    def __init__(self, cost, speed, p50, p99):
        self.cost, self.speed, self.p50, self.p99 = cost, speed, p50, p99


@contextmanager
def bench(http2=False, restarts=False):
    """http2: the upstream offers it by ALPN. restarts: it starts new workers on SIGHUP."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    started = Bench(folder, http2, restarts)
    try:
        yield started
    except SystemExit:
        print((folder / "log").read_text(errors="replace")[-2000:], file=sys.stderr)
        raise
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


def compare(loads, rounds, base):
    """Runs `loads` (name to a function that gives a Load) in turns and prints a table with ratios to `base`."""
    results = {name: [] for name in loads}
    for number in range(rounds + 1):
        for name, load in loads.items():
            result = load(number == 0)
            if number:
                results[name].append(result)
    width = max(map(len, loads)) + 2
    print(f"{'':{width}}{'µs of CPU a message':>20}{'times ' + base:>24}{'messages/s':>12}{'p50':>9}{'p99':>9}")
    for name, runs in results.items():
        ratio = statistics.median(run.cost / other.cost for run, other in zip(runs, results[base]))
        print(
            f"{name:{width}}{statistics.median(run.cost for run in runs):>20.1f}{ratio:>24.2f}"
            f"{statistics.median(run.speed for run in runs):>12,.0f}{runs[-1].p50:>9}{runs[-1].p99:>9}", flush=True)
    return results
