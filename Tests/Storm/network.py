"""Hosts of their own for servers: network namespaces on one bridge, which can be cut off from one another.

Needs the right to make them (root, or CAP_SYS_ADMIN and CAP_NET_ADMIN); `Network.reason` says why there is none.
"""

import os
import subprocess


def run(*words):
    subprocess.run(words, check=True, capture_output=True, text=True)


class Host:
    def __init__(self, network, number):
        self.name = f"{network.bridge}-{number}"
        self.address = f"{network.subnet}.{number}"
        run("ip", "netns", "add", self.name)
        inner, outer = f"{network.bridge}i{number}", f"{network.bridge}o{number}"
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
        run("ip", "link", "set", outer, "master", network.bridge, "up")
        run("ip", "-n", self.name, "addr", "add", f"{self.address}/24", "dev", inner)
        run("ip", "-n", self.name, "link", "set", inner, "up")
        run("ip", "-n", self.name, "link", "set", "lo", "up")

    def command(self, *words):
        """Runs on this host; `ip` becomes the program itself, so that its process id is the program's."""
        return ["ip", "netns", "exec", self.name, *words]


class Network:
    def __init__(self):
        self.bridge = f"sg{os.getpid() % 100000}"
        self.subnet = f"10.213.{os.getpid() % 250 + 1}"
        self.hosts = []
        self.cuts = []
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.subnet}.254/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")

    @staticmethod
    def reason():
        """Why there can be no network; None if there can."""
        name = f"sg-try-{os.getpid()}"
        try:
            run("ip", "netns", "add", name)
            run("ip", "netns", "del", name)
            return None
        except (OSError, subprocess.CalledProcessError) as error:
            return (getattr(error, "stderr", None) or str(error)).strip()

    def host(self):
        host = Host(self, len(self.hosts) + 1)
        self.hosts.append(host)
        return host

    def cut(self, some, others):
        """Nothing gets through between the two groups, in either direction, until `heal`."""
        for one in some:
            for other in others:
                for source, target in ((one, other), (other, one)):
                    run("ip", "-n", source.name, "route", "add", "blackhole", f"{target.address}/32")
                    self.cuts.append((source, target))

    def heal(self):
        for source, target in self.cuts:
            run("ip", "-n", source.name, "route", "del", "blackhole", f"{target.address}/32")
        self.cuts = []

    def stop(self):
        for host in self.hosts:
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)
