"""What the idempotency store costs a message: records in memory, few and many, and records on Redis, in one run.

Gateways that differ in nothing but the store forward the same messages, each under a fresh key, over TLS to an nginx that accepts
them all. Measured is the CPU time of the gateway process a message, in rounds that take turns; the ratios are medians of the
ratios of each round. The memory of a record is the growth of the process while it is filled.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

KEY = "benchmark-0123456789abcdef"

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    location /auth/ {{ return 200 '{{"access_token":"Atc|benchmark","expires_in":3600,"token_type":"Bearer"}}'; }}
    location / {{
      if ($request_id ~ "^(.{{8}})(.{{4}})(.{{4}})(.{{4}})(.{{12}})$") {{ set $uuid "$1-$2-$3-$4-$5"; }}
      add_header X-Amzn-RequestId $uuid always;
      return 202;
    }}
  }}
}}
"""

LUA = """
local thread = 0
function setup(t) t:set("id", thread) thread = thread + 1 end
function init(args) round = args[1] count = 0 end
local fields = {["Authorization"] = "Bearer %s", ["Content-Type"] = "application/json"}
function request()
  count = count + 1
  fields["Idempotency-Key"] = round .. "-" .. id .. "-" .. count
  return wrk.format("POST", "/v1/skillmessages/users/amzn1.ask.account.NA-" .. string.rep("A", 200), fields,
    '{"data":{"order":"12345678","state":"shipped","text":"Your parcel is on its way."},"expiresAfterSeconds":3600}')
end
""" % KEY


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bench:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.processes, self.rounds = binary, folder, [], 0
        self.upstream = free_port()

    def start(self, *command):
        log = open(self.folder / "log", "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def start_upstream(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost"], check=True, capture_output=True,
        )
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, port=self.upstream))
        (self.folder / "request.lua").write_text(LUA)
        for name in ("secret", "key"):
            (self.folder / name).write_text(KEY)
        self.start("nginx", "-e", str(self.folder / "nginx.log"), "-c", str(self.folder / "nginx.conf"))

    def start_redis(self):
        port = free_port()
        self.start("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder))
        return port

    def start_gateway(self, name, idempotency):
        gateway = Gateway(self, name, idempotency)
        for _ in range(500):
            try:
                if gateway.admin("readyz"):
                    return gateway
            except OSError:
                threading.Event().wait(0.02)
        raise SystemExit(f"the gateway for {name} did not become ready: see {self.folder}/log")


class Gateway:
    def __init__(self, bench, name, idempotency):
        self.bench, self.name = bench, name
        self.port, self.admin_port = free_port(), free_port()
        base = f"https://localhost:{bench.upstream}"
        file = bench.folder / f"{name.replace(' ', '-')}.yaml"
        file.write_text(
            f"""
eventLoops: 1
listeners: [{{address: 127.0.0.1:{self.port}}}]
admin: {{address: 127.0.0.1:{self.admin_port}}}
regions: {{NA: {{apiEndpoint: {base}/na}}, EU: {{apiEndpoint: {base}/eu}}, FE: {{apiEndpoint: {base}/fe}}}}
tokenEndpoint: {base}/auth/o2/token
upstream: {{trust: {{caFile: cert.pem}}}}
skills: [{{name: weather, clientID: c, clientSecret: {{file: secret}}, defaultRegion: NA}}]
callers: [{{name: bench, apiKeys: [{{file: key}}], skills: [weather]}}]
idempotency: {idempotency}
"""
        )
        self.process = bench.start(bench.binary, "serve", "--config", str(file))

    def admin(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/{path}", timeout=5) as answer:
            return answer.read().decode()

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def load(self, seconds):
        """Returns microseconds of CPU a message, and messages a second."""
        self.bench.rounds += 1
        before = self.cpu()
        wrk = subprocess.run(
            ["wrk", "-t1", "-c64", f"-d{seconds}s", "-s", str(self.bench.folder / "request.lua"),
             f"http://127.0.0.1:{self.port}", "--", f"{self.bench.rounds}"],
            check=True, capture_output=True, text=True,
        ).stdout
        if "Non-2xx" in wrk:
            raise SystemExit(f"{self.name}: {wrk}")
        messages = int(re.search(r"(\d+) requests in", wrk)[1])
        return (self.cpu() - before) * 1e6 / messages, messages / seconds

    def records(self):
        return sum(
            int(line.split()[-1]) for line in self.admin("metrics").splitlines()
            if line.startswith("skillgate_idempotency_records{")
        )


def fill(gateway, records):
    """Sends messages until the store holds so many. Returns the bytes that each took."""
    gateway.load(2)
    before, count = gateway.resident(), gateway.records()
    while gateway.records() < records:
        gateway.load(10)
        print(f"  {gateway.records():,} records", file=sys.stderr)
    return (gateway.resident() - before) / (gateway.records() - count)


def main():
    parser = argparse.ArgumentParser(prog="Tests/Benchmarks/stores", description=__doc__)
    parser.add_argument("--binary", required=True, help="the skillgate to measure")
    parser.add_argument("--records", type=int, default=5_000_000, help="in the full store in memory; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each round and store")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stores-"))
    bench = Bench(options.binary, folder)
    try:
        bench.start_upstream()
        memory = "{memory: {maximumRecords: 20000000, maximumBytes: 8GiB}}"
        gateways = [bench.start_gateway("memory", memory)]
        redis = bench.start_redis()
        gateways.append(
            bench.start_gateway("redis", f"{{store: redis, redis: {{url: 'redis://127.0.0.1:{redis}'}}}}"))
        if options.records:
            full = bench.start_gateway("full memory", memory)
            bytes_each = fill(full, options.records)
            print(f"{full.records():,} settled records in memory: {bytes_each:.0f} bytes each")
            gateways.append(full)
        rounds = {gateway.name: [] for gateway in gateways}
        speeds = {gateway.name: [] for gateway in gateways}
        for _ in range(options.rounds):
            for gateway in gateways:
                cost, speed = gateway.load(options.seconds)
                rounds[gateway.name].append(cost)
                speeds[gateway.name].append(speed)
        for name, costs in rounds.items():
            ratio = statistics.median(cost / base for cost, base in zip(costs, rounds["memory"]))
            print(
                f"{name}: {statistics.median(costs):.1f} us of CPU a message, {ratio:.2f} times that of memory, "
                f"{statistics.median(speeds[name]):,.0f} messages/s")
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
