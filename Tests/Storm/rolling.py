"""Replicas behind HAProxy are restarted one by one, again and again, under a steady load: every message is to be answered 202, and Amazon
is to have each once.
"""

import argparse
import sys

from parts import Folder, Gateway, Server, Simulator, SingleRedis, free_port, wait_until
from steady import Load

HAPROXY = """
global
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option redispatch
  option httpchk GET /readyz
frontend messages
  bind 127.0.0.1:PORT
  default_backend replicas
backend replicas
"""


def main():
    parser = argparse.ArgumentParser(prog="Tests/storm rolling", description=__doc__)
    parser.add_argument("--binary", required=True, help="the skillgate to test")
    parser.add_argument("--rounds", type=int, default=10, help="in each, every replica is restarted once")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1000, help="messages a second")
    options = parser.parse_args()
    options.durability, options.policy, options.maxmemory = "always", "noeviction", "0"
    options.hz = 10
    with Folder() as folder:
        started = []

        def start(part):
            started.append(part)
            part.start()
            return part

        try:
            simulator = start(Simulator(options.binary, folder))
            store = start(SingleRedis(folder, options))
            gateways = [
                start(Gateway(options.binary, folder, number, simulator, store.configuration, drain="notice: 1s"))
                for number in range(options.replicas)]
            for gateway in gateways:
                wait_until(gateway.is_ready, 20, "a gateway")
            port = free_port()
            (folder / "haproxy.cfg").write_text(HAPROXY.replace("PORT", str(port)) + "".join(
                f"  server replica{number} 127.0.0.1:{gateway.port} check port {gateway.admin_port} inter 200ms fall 1 rise 1\n"
                for number, gateway in enumerate(gateways)))
            balancer = start(Server(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], folder / "haproxy.log"))
            wait_until(lambda: balancer.answers(port), 20, "HAProxy")
            run(options, simulator, gateways, port)
        finally:
            for part in reversed(started):
                part.stop()


def run(options, simulator, gateways, port):
    load = Load(port, options.rate, "rolling")
    for _ in range(options.rounds):
        for gateway in gateways:
            gateway.restart()
    load.end_with(simulator, f"{options.rounds} rounds of {len(gateways)} restarts at {options.rate} messages/s")


if __name__ == "__main__":
    sys.exit(main())
