"""Kills, pauses and cuts off everything that a message passes, and counts at Amazon's side what was lost or doubled.

Callers send messages through several gateways that share a Redis, each until it has a final answer: 202, or that the outcome is
unknown. Meanwhile gateways are killed (SIGKILL) and paused (SIGSTOP) for longer than a lease, and Redis is killed, stalled,
failed over, cut off, restarted and emptied, at random. Each message carries an id of its own; the simulator knows which it accepted, and how
often. What callers were told is checked against itself, too.

The store is one Redis; with --store file the files of one gateway, which starts again each time it is killed; with --store sentinel, and whenever there are failovers, a master, two replicas and three Sentinels; with
--store cluster three masters with a replica each. --redis passes settings on to the gateways, to see what a careless one does.
"""

import argparse
import collections
import http.client
import random
import sys
import threading
import time

from callers import Book, Caller, Outage, until_served
from network import Network
from parts import (
    PAUSE, ClusterRedis, Files, Folder, Gateway, Pings, SentinelRedis, SingleRedis, Simulator, Skill, Slow, redis, wait_until)

# The deadline of a message is 1 s here, so its lease is 2 s.
LONGER_THAN_A_LEASE = (2.2, 3.5)


class Storm:
    def __init__(self, options, folder):
        self.options = options
        self.random = random.Random(options.seed)
        self.skill = Skill(folder) if options.receipts else None
        self.simulator = Simulator(options.binary, folder, self.skill, options.upstream_http2)
        self.network = Network() if options.partitions else None
        kinds = {"file": Files, "single": SingleRedis, "sentinel": SentinelRedis, "cluster": ClusterRedis}
        self.store = kinds[options.store](folder, options, self.network)
        self.slow = None
        self.folder = folder
        self.gateways = []
        self.book = Book(options.remembered)
        self.kills = self.pauses = 0
        self.verbs = collections.Counter()
        self.outages = []
        self.recoveries = []
        self.sent_in_outages = 0

    def run(self):
        try:
            self.start()
            began = time.monotonic()
            chaos = [threading.Thread(target=self.strike_gateways), threading.Thread(target=self.strike_store)]
            for thread in chaos:
                thread.start()
            PAUSE.wait(self.options.seconds)
            for thread in chaos:
                thread.join()
            self.took = time.monotonic() - began
            self.calm()
            return self.report()
        finally:
            for part in [*self.gateways, self.store, self.simulator, self.skill, self.slow, self.network]:
                if part:
                    part.stop()

    def start(self):
        self.simulator.start()
        self.store.start()
        if not self.options.fair:
            self.simulator.request(
                "PUT", "faults",
                '{"NA": {"status": 500, "probability": 0.03}, "EU": {"connection": "resetAfterRead", "accept": true,'
                ' "probability": 0.01}, "FE": {"status": 429, "probability": 0.03}, "skill": {"deliveredTwice": 0.1}}',
            )
        settings = self.store.configuration
        if self.options.delay:
            server = self.store.servers[0]
            self.slow = Slow(server.place, self.options.delay / 1000, self.options.delay_stalls, 0.2)
            settings = f"url: redis://127.0.0.1:{self.slow.port}"
        if self.options.redis and settings:
            settings += f", {self.options.redis}"
        for number in range(self.options.replicas):
            gateway = Gateway(
                self.options.binary, self.folder, number, self.simulator, settings,
                idempotency=self.store.idempotency if self.options.store == "file" else None,
                reports=self.skill is not None)
            self.gateways.append(gateway)
        if self.skill:
            self.skill.start(self.gateways)
        for gateway in self.gateways:
            gateway.start()
        for gateway in self.gateways:
            wait_until(gateway.is_ready, 20, "a gateway")
        self.callers = [Caller(number, self.gateways, self.book, self.options) for number in range(self.options.callers)]
        for caller in self.callers:
            caller.start()

    # Chaos

    def strike_gateways(self):
        strikes = (
            ["kill"] * self.options.kills + ["pause"] * self.options.pauses + ["operate"] * self.options.verbs)
        self.random.shuffle(strikes)
        end = time.monotonic() + self.options.seconds
        resumes = []
        for place, strike in enumerate(strikes):
            # What is left of the time, evenly.
            PAUSE.wait(max(0, end - time.monotonic()) / (len(strikes) - place) * self.random.uniform(0.6, 1.2))
            awake = [gateway for gateway in self.gateways if not gateway.server.paused]
            gateway = self.random.choice(awake or self.gateways)
            if strike == "operate" and awake:
                timer = self.operate(gateway)
                if timer:
                    timer.start()
                    resumes.append(timer)
            elif strike == "kill" or not awake:
                gateway.server.kill()
                gateway.start()
                self.kills += 1
            else:
                gateway.server.pause()
                self.pauses += 1
                timer = threading.Timer(self.random.uniform(*LONGER_THAN_A_LEASE), gateway.server.resume)
                timer.start()
                resumes.append(timer)
        for timer in resumes:
            timer.join()

    def operate(self, gateway):
        """Does what an operator would, by the admin listener. Returns a timer that undoes it, where that is to be."""
        verb, parameters = self.random.choice([
            ("pause", {"skill": "weather"}), ("pause", {"caller": "other"}), ("pause", {"region": "EU"}),
            ("log-level", {"level": "debug"}), ("drain", {}),
        ])
        status = gateway.operate(verb, **parameters)
        if status != 200:
            raise SystemExit(f"{verb} was answered {status}")
        self.verbs[verb] += 1
        if verb == "drain":
            gateway.server.process.wait(60)
            gateway.start()
        elif verb == "pause":
            return threading.Timer(self.random.uniform(0.3, 1.5), self.resume, [gateway])
        return None

    def resume(self, gateway):
        try:
            gateway.operate("resume", all=True)
        except (OSError, http.client.HTTPException):
            pass  # It is killed or stopped just now: another process begins without pauses, and `calm` looks after the others.

    def strike_store(self):
        strikes = (
            ["kill"] * self.options.store_kills
            + ["stall"] * self.options.store_stalls
            + ["failover"] * self.options.failovers
            + ["partition"] * self.options.partitions
            + ["restart"] * self.options.restarts
        )
        self.random.shuffle(strikes)
        # Last: with `onStoreWiped: hold` nothing new is sent after it.
        strikes += ["flush"] * self.options.flushes
        for strike in strikes:
            PAUSE.wait(self.random.uniform(1, 3))
            getattr(self, strike)()

    def kill(self):
        server = self.store.servers[0].server
        self.outage(server.kill, lambda: PAUSE.wait(self.random.uniform(1, 3)), self.store.start)

    def stall(self):
        server = self.store.servers[0].server
        self.outage(server.pause, lambda: PAUSE.wait(self.options.stall_seconds), server.resume)

    def failover(self):
        victim = self.store.master()
        self.outage(
            victim.server.kill,
            lambda: wait_until(lambda: self.store.master() is not victim, 60, "a new master"),
            lambda: wait_until(lambda: self.store.replicates(self.store.master().place), 60, "its replica"),
        )
        victim.start()
        self.settle_down()

    def partition(self):
        """A master is cut off, with Sentinels a replica with it: gateways reach all of them, and the others choose another one."""
        victim = self.random.choice(self.store.masters())
        hosts = [victim.host]
        if self.store.kind == "sentinel":
            hosts.append(next(server.host for server in self.store.servers if server is not victim))
        others = [host for host in self.network.hosts if host not in hosts]
        pings = Pings(victim.place, self.options.pings) if self.options.pings else None
        self.outage(
            lambda: self.network.cut(hosts, others),
            lambda: wait_until(lambda: victim not in self.store.masters(), 60, "a new master"),
            lambda: None,
        )
        if pings:
            self.recoveries.append(until_served(self.gateways, 30))
            pings.stop()
        # Both sides go on for a while.
        PAUSE.wait(self.random.uniform(2, 4))
        self.network.heal()
        self.settle_down()

    def restart(self):
        """A master is killed and is back before anybody has noticed."""
        victim = self.random.choice(self.store.masters())
        victim.server.kill()
        victim.start()
        PAUSE.wait(2)
        self.settle_down()

    def flush(self):
        redis(self.random.choice(self.store.masters()).place, "FLUSHALL")

    def settle_down(self):
        if self.store.kind != "single":
            wait_until(self.store.is_complete, 90, "all servers of the store")

    def outage(self, strike, last, end):
        """From `strike` until `last` returns, nothing with a key may be sent. With `end`, the store is back."""
        outage = Outage(time.monotonic())
        strike()
        with self.book.lock:
            self.book.outage = outage
        # What had its record when it began may still be sent, for as long as a message may take.
        PAUSE.wait(1.2)
        before = self.simulator.received()
        last()
        # The other masters of a cluster go on.
        if self.store.kind != "cluster":
            self.sent_in_outages += self.simulator.received() - before
        with self.book.lock:
            self.book.outage = None
        self.outages.append(outage)
        end()
        if not self.options.kills and not self.options.pauses and not self.options.partitions:
            self.recoveries.append(until_served(self.gateways, 30))

    def calm(self):
        """Nothing strikes any more: every message comes to its end."""
        self.simulator.request("DELETE", "faults")
        for gateway in self.gateways:
            wait_until(gateway.is_ready, 20, "a gateway after the storm")
            self.resume(gateway)
        for caller in self.callers:
            caller.is_over.set()
        end = time.monotonic() + 60
        for caller in self.callers:
            caller.join(max(0, end - time.monotonic()))
            caller.gives_up.set()

    # The truth

    def report(self):
        accepted = collections.Counter()
        request_ids = {}
        for message in self.simulator.get("messages"):
            accepted[message["data"]["id"]] += 1
            request_ids[message["data"]["id"]] = message["requestId"]
        outcomes = self.book.outcomes
        lost = [message for message, outcome in outcomes.items() if outcome == "accepted" and not accepted[message]]
        doubled = [message for message, count in accepted.items() if count > 1]
        wrong = [
            message
            for message, ids in self.book.request_ids.items()
            if ids - {"receipt"} - {request_ids.get(message)} and message not in doubled
        ]
        other_ids, forgotten = self.book.history.broken()
        ends = collections.Counter(outcomes.values())
        ended = {"accepted", "unknown"} | ({"open"} if self.options.flushes or self.options.maxmemory != "0" else set())
        unexpected = {outcome: count for outcome, count in ends.items() if outcome not in ended}
        print(f"{len(outcomes)} messages in {self.took:.0f} s through {self.options.replicas} gateways: {dict(ends)}")
        print(f"answers: {dict(self.book.statuses)}, {self.book.pending} of them accepted and not confirmed by the store")
        print(f"gateways: {self.kills} kills, {self.pauses} pauses longer than a lease")
        if self.options.verbs:
            print(f"operators: {dict(self.verbs)}")
        ok = not (lost or doubled or wrong or unexpected or other_ids or forgotten)
        connections = sum((gateway.connections() for gateway in self.gateways), collections.Counter())
        print(f"connections to Amazon of the gateways that are left: {dict(connections)}")
        spoken, other = ("h2", "http/1.1") if self.options.upstream_http2 else ("http/1.1", "h2")
        ok = ok and connections[spoken] > 0 and not connections[other]
        if self.outages:
            statuses = sum((outage.statuses for outage in self.outages), collections.Counter())
            slowest = max(outage.slowest for outage in self.outages)
            print(
                f"store: {self.options.store_kills} kills, {self.options.store_stalls} stalls of "
                f"{self.options.stall_seconds:.0f} s, {self.options.failovers} failovers, {self.options.partitions} "
                f"partitions; meanwhile "
                f"{self.sent_in_outages} messages sent, answers {dict(statuses)}, the slowest after {slowest * 1000:.0f} ms"
            )
            ok = ok and self.sent_in_outages == 0
            if self.options.times and self.recoveries:
                # Two commands in a row, each given its time.
                ok = ok and slowest < 0.9
        if self.recoveries:
            print(f"service after the store's return within {max(self.recoveries) * 1000:.0f} ms")
            if self.options.times:
                ok = ok and max(self.recoveries) < 2
        print(
            f"lost {len(lost)}, doubled {len(doubled)}, answered with another's request id {len(wrong)}; after a 202 another "
            f"request id {len(other_ids)}, unknown {len(forgotten)}")
        answers = sum(self.book.statuses.values())
        refused = answers - self.book.statuses[202] - self.book.statuses[504]
        print(f"unknown {self.book.statuses[504] / max(1, answers):.4f}, neither accepted nor unknown "
              f"{refused / max(1, answers):.4f} of all answers")
        unreceived, unproven = self.received(accepted)
        ok = ok and not unreceived and not unproven
        for name, messages in (("lost", lost), ("doubled", doubled), ("wrong", wrong), ("after a 202", other_ids + forgotten),
                               ("not received", unreceived), ("not known by their receipt", unproven)):
            if messages:
                print(f"  {name}: {messages[:10]}")
        return ok

    def received(self, accepted):
        """Messages that were delivered and not reported, and those whose outcome is unknown all the same."""
        if not self.skill:
            return [], []
        wait_until(lambda: not self.simulator.get("counters")["deliveries"]["pending"], 120, "the last deliveries")
        handled = self.skill.handled()
        reports = {message: self.gateways[0].report(message) for message in accepted}
        unreceived = [message for message, report in reports.items() if "receivedAt" not in report]
        unhandled = [message for message in reports if message not in handled]
        unknown = [
            message for message, outcome in self.book.outcomes.items() if outcome == "unknown" and accepted[message]]
        unproven = [message for message in unknown if reports[message]["state"] != "accepted"]
        told = sum(1 for ids in self.book.request_ids.values() if "receipt" in ids)
        print(
            f"receipts: {len(reports)} messages delivered, {len(reports) - len(unreceived)} received, {len(handled)} handled, {sum(count > 1 for count in handled.values())} "
            f"more than once; {told} answered by their receipt alone; of {len(unknown)} that ended as unknown and were "
            f"delivered, {len(unknown) - len(unproven)} became accepted")
        return unreceived + unhandled, unproven


def main():
    parser = argparse.ArgumentParser(prog="Tests/storm", description=__doc__)
    parser.add_argument("--binary", required=True, help="the skillgate to test")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--callers", type=int, default=24)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two messages of a caller, on average")
    parser.add_argument("--remembered", type=int, default=200, help="of the last so many messages every tenth is sent again")
    parser.add_argument("--kills", type=int, default=0, help="of gateways")
    parser.add_argument("--pauses", type=int, default=0, help="of gateways, longer than a lease")
    parser.add_argument("--verbs", type=int, default=0, help="of operators: pause and resume, log level, drain")
    parser.add_argument("--store-kills", type=int, default=0)
    parser.add_argument("--store-stalls", type=int, default=0)
    parser.add_argument("--stall-seconds", type=float, default=20)
    parser.add_argument("--store", choices=["file", "single", "sentinel", "cluster"], default=None)
    parser.add_argument("--file-durability", choices=["process", "machine"], default="process")
    parser.add_argument("--failovers", type=int, default=0, help="by Sentinel")
    parser.add_argument("--partitions", type=int, default=0, help="a master is cut off, and a replica with it")
    parser.add_argument(
        "--pings", type=int, default=0, help="a second that somebody else sends to a master that is cut off; then it is "
        "measured, too, how soon gateways have left it")
    parser.add_argument("--restarts", type=int, default=0, help="of a master, before anybody notices")
    parser.add_argument("--flushes", type=int, default=0, help="FLUSHALL of one master")
    parser.add_argument("--delay", type=float, default=0, help="of the network to the store, in ms each way")
    parser.add_argument("--delay-stalls", type=float, default=0.01, help="share of packets that are 200 ms late")
    parser.add_argument("--durability", choices=["always", "everysec", "snapshots"], default="always")
    parser.add_argument("--policy", default="noeviction", help="of servers that are full")
    parser.add_argument("--hz", type=int, default=10, help="how often servers do what they do in the background")
    parser.add_argument("--maxmemory", default="0")
    parser.add_argument("--redis", default="", help="settings of `idempotency.redis`, such as 'waitReplicas: 1'")
    parser.add_argument(
        "--times", action="store_true", help="fails, too, if a refusal takes 0.9 s, or service 2 s to be back")
    parser.add_argument("--receipts", action="store_true", help="a skill gets the messages and reports them")
    parser.add_argument("--upstream-http2", action="store_true", help="Amazon speaks HTTP/2, over TLS")
    parser.add_argument("--fair", action="store_true", help="Amazon makes no trouble of its own")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    options.store = options.store or ("sentinel" if options.failovers or options.partitions else "single")
    if options.store == "file":
        # One process at a time has the files.
        options.replicas = 1
    if options.store != "single" and (options.store_kills or options.store_stalls or options.delay):
        parser.error("--store-kills, --store-stalls and --delay are for a single server")
    if options.failovers and options.store != "sentinel":
        parser.error("--failovers needs --store sentinel")
    reason = Network.reason() if options.partitions else None
    if reason:
        # Not a failure: whoever may not make networks still has all the rest.
        print(f"storm: --partitions left out, since no network namespace can be made here: {reason}")
        options.partitions = 0
    print(f"storm: seed {options.seed}", flush=True)
    with Folder() as folder:
        if not Storm(options, folder).run():
            raise SystemExit("storm: a promise was broken")


if __name__ == "__main__":
    sys.exit(main())
