"""A gateway under a steady load for a long time, while Amazon makes trouble at random: its memory and descriptors are to stay as they
are, and every message is to be accounted for: what Amazon received is what callers were told, to the last one.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from parts import PAUSE, Folder, Gateway, Simulator, wait_until
from steady import Load

FAULTS = """{"NA": {"status": 500, "probability": SHARE}, "EU": {"connection": "resetAfterRead", "probability": SHARE},
 "FE": {"status": 429, "probability": SHARE}}"""


class Process:
    def __init__(self, pid):
        self.folder = Path(f"/proc/{pid}")

    def resident(self):
        """Bytes of memory."""
        return int(re.search(r"VmRSS:\s+(\d+)", (self.folder / "status").read_text())[1]) * 1024

    def descriptors(self):
        return len(os.listdir(self.folder / "fd"))


def main():
    parser = argparse.ArgumentParser(prog="Tests/storm soak", description=__doc__)
    parser.add_argument("--binary", required=True, help="the skillgate to test")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=1000, help="messages a second")
    parser.add_argument("--faults", type=float, default=0.01, help="share of messages")
    options = parser.parse_args()
    with Folder() as folder:
        simulator = Simulator(options.binary, folder)
        gateway = Gateway(options.binary, folder, 0, simulator, None, idempotency="{retention: 60s}")
        try:
            simulator.start()
            simulator.request("PUT", "faults", FAULTS.replace("SHARE", str(options.faults)))
            gateway.start()
            wait_until(gateway.is_ready, 20, "the gateway")
            run(options, simulator, gateway)
        finally:
            gateway.stop()
            simulator.stop()


def run(options, simulator, gateway):
    load = Load(gateway.port, options.rate, "soak", regions=("NA", "EU", "FE"))
    process = Process(gateway.server.process.pid)
    # By then the store holds as many records as it will.
    settling = min(150, options.minutes * 30)
    PAUSE.wait(settling)
    resident, descriptors, samples = process.resident(), process.descriptors(), []
    while settling + len(samples) * 5 < options.minutes * 60:
        PAUSE.wait(5)
        samples.append((process.resident(), process.descriptors()))
    answers = load.end()
    counters = simulator.get("counters")["messages"]
    print(f"{options.minutes:g} minutes at {options.rate} messages/s: {sum(answers.values()):,} messages")
    print(f"memory {resident / 1e6:.1f} MB at first, {samples[-1][0] / 1e6:.1f} at the end, at most "
          f"{max(sample[0] for sample in samples) / 1e6:.1f}; descriptors {descriptors}, {samples[-1][1]}, "
          f"{max(sample[1] for sample in samples)}")
    ok = samples[-1][0] <= resident * 1.1 and samples[-1][1] <= descriptors * 1.1
    for region, refused in {"NA": "500", "EU": "504 outcome-unknown", "FE": "429"}.items():
        told = {kind: count for (other, kind), count in sorted(answers.items()) if other == region}
        received, accepted = counters[region]["received"], counters[region]["accepted"]
        print(f"{region}: {told}; Amazon received {received:,} and accepted {accepted:,}")
        unsent = sum(count for kind, count in told.items() if kind not in ("202", refused))
        ok = ok and accepted == told.get("202") and received == sum(told.values()) - unsent
    if not ok:
        raise SystemExit("soak: memory or descriptors grew, or a message is not accounted for")


if __name__ == "__main__":
    sys.exit(main())
