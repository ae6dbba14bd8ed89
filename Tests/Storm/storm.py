"""Kills, pauses and cuts off everything that a message passes, and counts at Amazon's side what was lost or doubled.

Callers send messages through several gateways that share a Redis, each until it has a final answer: 202, or that the outcome is
unknown. Meanwhile gateways are killed (SIGKILL) and paused (SIGSTOP) for longer than a lease, and Redis is killed, stalled and
failed over, at random. Each message carries an id of its own; the simulator knows which it accepted, and how often.
"""

import argparse
import collections
import random
import sys
import threading
import time

from callers import Book, Caller, Outage, until_served
from parts import PAUSE, Folder, Gateway, Redis, SentinelRedis, Simulator, wait_until

# The deadline of a message is 1 s here, so its lease is 2 s.
LONGER_THAN_A_LEASE = (2.2, 3.5)


class Storm:
    def __init__(self, options, folder):
        self.options = options
        self.random = random.Random(options.seed)
        self.simulator = Simulator(options.binary, folder)
        self.store = SentinelRedis(folder) if options.failovers else Redis(folder)
        self.folder = folder
        self.gateways = []
        self.book = Book()
        self.kills = self.pauses = 0
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
            for part in [*self.gateways, self.store, self.simulator]:
                part.stop()

    def start(self):
        self.simulator.start()
        self.store.start()
        if not self.options.fair:
            self.simulator.request(
                "PUT", "faults",
                '{"NA": {"status": 500, "probability": 0.03}, "EU": {"connection": "resetAfterRead", "accept": true,'
                ' "probability": 0.01}, "FE": {"status": 429, "probability": 0.03}}',
            )
        for number in range(self.options.replicas):
            gateway = Gateway(self.options.binary, self.folder, number, self.simulator, self.store.configuration)
            gateway.start()
            self.gateways.append(gateway)
        for gateway in self.gateways:
            wait_until(gateway.is_ready, 20, "a gateway")
        self.callers = [Caller(number, self.gateways, self.book, self.options) for number in range(self.options.callers)]
        for caller in self.callers:
            caller.start()

    # Chaos

    def strike_gateways(self):
        strikes = ["kill"] * self.options.kills + ["pause"] * self.options.pauses
        self.random.shuffle(strikes)
        end = time.monotonic() + self.options.seconds
        resumes = []
        for place, strike in enumerate(strikes):
            # What is left of the time, evenly.
            PAUSE.wait(max(0, end - time.monotonic()) / (len(strikes) - place) * self.random.uniform(0.6, 1.2))
            awake = [gateway for gateway in self.gateways if not gateway.server.paused]
            gateway = self.random.choice(awake or self.gateways)
            if strike == "kill" or not awake:
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

    def strike_store(self):
        strikes = (
            ["kill"] * self.options.store_kills
            + ["stall"] * self.options.store_stalls
            + ["failover"] * self.options.failovers
        )
        self.random.shuffle(strikes)
        for strike in strikes:
            PAUSE.wait(self.random.uniform(1, 3))
            getattr(self, strike)()

    def kill(self):
        server = self.store.server
        self.outage(server.kill, lambda: PAUSE.wait(self.random.uniform(1, 3)), self.store.start)

    def stall(self):
        server = self.store.server
        self.outage(server.pause, lambda: PAUSE.wait(self.options.stall_seconds), server.resume)

    def failover(self):
        master = self.store.master_port()
        victim = next(server for server in self.store.servers if server.port == master)
        self.outage(
            victim.server.kill,
            lambda: wait_until(lambda: self.store.master_port() != master, 60, "a new master"),
            lambda: wait_until(lambda: self.store.replicates(self.store.master_port()), 60, "its replica"),
        )
        victim.start()
        wait_until(self.store.is_complete, 90, "all servers after a failover")
        wait_until(lambda: self.store.replicates(self.store.master_port()), 60, "replication after a failover")

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
        self.sent_in_outages += self.simulator.received() - before
        with self.book.lock:
            self.book.outage = None
        self.outages.append(outage)
        end()
        if not self.options.kills and not self.options.pauses:
            self.recoveries.append(until_served(self.gateways, 30))

    def calm(self):
        """Nothing strikes any more: every message comes to its end."""
        self.simulator.request("DELETE", "faults")
        for gateway in self.gateways:
            wait_until(gateway.is_ready, 20, "a gateway after the storm")
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
            if ids != {request_ids.get(message)} and message not in doubled
        ]
        ends = collections.Counter(outcomes.values())
        unexpected = {outcome: count for outcome, count in ends.items() if outcome not in ("accepted", "unknown")}
        print(f"{len(outcomes)} messages in {self.took:.0f} s through {self.options.replicas} gateways: {dict(ends)}")
        print(f"answers: {dict(self.book.statuses)}")
        print(f"gateways: {self.kills} kills, {self.pauses} pauses longer than a lease")
        ok = not (lost or doubled or wrong or unexpected)
        if self.outages:
            statuses = sum((outage.statuses for outage in self.outages), collections.Counter())
            slowest = max(outage.slowest for outage in self.outages)
            print(
                f"store: {self.options.store_kills} kills, {self.options.store_stalls} stalls of "
                f"{self.options.stall_seconds:.0f} s, {self.options.failovers} failovers; meanwhile "
                f"{self.sent_in_outages} messages sent, answers {dict(statuses)}, the slowest after {slowest * 1000:.0f} ms"
            )
            ok = ok and self.sent_in_outages == 0
            if self.options.times and self.recoveries:
                ok = ok and slowest < 0.4
        if self.recoveries:
            print(f"service after the store's return within {max(self.recoveries) * 1000:.0f} ms")
            if self.options.times:
                ok = ok and max(self.recoveries) < 2
        print(f"lost {len(lost)}, doubled {len(doubled)}, answered with another's request id {len(wrong)}")
        for name, messages in (("lost", lost), ("doubled", doubled), ("wrong", wrong)):
            if messages:
                print(f"  {name}: {messages[:10]}")
        return ok


def main():
    parser = argparse.ArgumentParser(prog="Tests/storm", description=__doc__)
    parser.add_argument("--binary", required=True, help="the skillgate to test")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--callers", type=int, default=24)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two messages of a caller, on average")
    parser.add_argument("--kills", type=int, default=0, help="of gateways")
    parser.add_argument("--pauses", type=int, default=0, help="of gateways, longer than a lease")
    parser.add_argument("--store-kills", type=int, default=0)
    parser.add_argument("--store-stalls", type=int, default=0)
    parser.add_argument("--stall-seconds", type=float, default=20)
    parser.add_argument("--failovers", type=int, default=0, help="by Sentinel, with waitReplicas: 1")
    parser.add_argument(
        "--times", action="store_true", help="fails, too, if a refusal takes 400 ms, or service 2 s to be back")
    parser.add_argument("--fair", action="store_true", help="Amazon makes no trouble of its own")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    if options.failovers and (options.store_kills or options.store_stalls):
        parser.error("--failovers goes without --store-kills and --store-stalls")
    print(f"storm: seed {options.seed}", flush=True)
    with Folder() as folder:
        if not Storm(options, folder).run():
            raise SystemExit("storm: a promise was broken")


if __name__ == "__main__":
    sys.exit(main())
