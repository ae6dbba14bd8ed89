"""Callers that send each message until they have a final answer, and write down every answer they get."""

import collections
import http.client
import json
import random
import threading
import time

from history import History
from parts import PAUSE, Gateway

FINAL_UNKNOWN = 3  # so many answers in a row that the outcome is unknown, and the caller believes it


class Book:
    """What all callers were told."""

    def __init__(self, remembered):
        self.lock = threading.Lock()
        self.statuses = collections.Counter()
        self.pending = 0
        self.outcomes = {}  # by message: accepted, unknown, or the status that ended it
        self.request_ids = collections.defaultdict(set)
        self.history = History()
        self.recent = collections.deque(maxlen=remembered)
        self.outage = None

    def answered(self, message, answer, started, took):
        status, request_id, is_pending = answer
        with self.lock:
            self.statuses[status] += 1
            self.pending += is_pending
            self.history.add(message, started, started + took, status, request_id, is_pending)
            if status == 202:
                self.request_ids[message].add(request_id)
            if self.outage:
                self.outage.answered(status, started, took)

    def ended(self, message, outcome):
        with self.lock:
            if self.outcomes.get(message) != "accepted":
                self.outcomes[message] = outcome


class Caller(threading.Thread):
    def __init__(self, number, gateways, book, options):
        super().__init__(name=f"caller-{number}", daemon=True)
        self.number, self.gateways, self.book, self.options = number, gateways, book, options
        self.random = random.Random(options.seed * 1000 + number)
        self.connections = {}
        self.is_over = threading.Event()
        self.gives_up = threading.Event()

    def run(self):
        count = 0
        while not self.is_over.is_set():
            if self.book.recent and self.random.random() < 0.1:
                # The same message again: one that is in flight somewhere, or long done.
                message = self.random.choice(list(self.book.recent))
            else:
                count += 1
                message = f"{self.number}-{count}"
                self.book.recent.append(message)
            self.deliver(message)
            self.is_over.wait(self.random.uniform(0, 2 * self.options.pause))

    def deliver(self, message):
        unknown = 0
        while not self.gives_up.is_set():
            status = self.post(message)
            if status == 202:
                return self.book.ended(message, "accepted")
            if status == 504:
                unknown += 1
                if unknown >= FINAL_UNKNOWN:
                    return self.book.ended(message, "unknown")
            elif status in (400, 401, 404, 422):
                return self.book.ended(message, str(status))
            self.gives_up.wait(self.random.uniform(0.02, 0.3))
        self.book.ended(message, "open")

    def post(self, message):
        gateway = self.random.choice(self.gateways)
        started = time.monotonic()
        try:
            answer = post(self.connections, gateway, message)
        except (OSError, http.client.HTTPException):
            self.connections.pop(gateway, None)
            answer = "no answer", None, False
        self.book.answered(message, answer, started, time.monotonic() - started)
        return answer[0]


def post(connections, gateway, message):
    """Sends `message` once.

    Returns its status, its request id (`receipt` where only the skill knows of its acceptance), and whether the store has yet to confirm it.
    """
    connection = connections.get(gateway)
    if connection is None:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=8)
        connections[gateway] = connection
    region = ("NA", "EU", "FE")[sum(message.encode()) % 3]
    connection.request(
        "POST",
        f"/v1/skillmessages/users/amzn1.ask.account.{region}-{message}",
        json.dumps({"data": {"id": message}}),
        {
            "Authorization": f"Bearer {Gateway.key_of(message)}",
            "Content-Type": "application/json",
            "Gateway-Region": region,
            "Idempotency-Key": message,
        },
    )
    answer = connection.getresponse()
    answer.read()
    request_id = answer.getheader("Gateway-Outcome") or answer.getheader("X-Amzn-RequestId")
    return answer.status, request_id, answer.getheader("Gateway-Deduplication") == "pending"


class Outage:
    """A time in which the store cannot be reached: what callers were told, and how soon."""

    def __init__(self, began):
        self.began, self.statuses, self.slowest = began, collections.Counter(), 0.0

    def answered(self, status, started, took):
        # Not those that were on their way when it began.
        if started > self.began:
            self.statuses[status] += 1
            self.slowest = max(self.slowest, took)


def until_served(gateways, seconds):
    """How long it takes until each of `gateways` sends a message again."""
    began = time.monotonic()
    connections = {}
    for number, gateway in enumerate(gateways):
        while True:
            try:
                status, *_ = post(connections, gateway, f"probe-{time.monotonic_ns()}-{number}")
                if status == 202:
                    break
            except (OSError, http.client.HTTPException):
                connections.pop(gateway, None)
            if time.monotonic() - began > seconds:
                return float("inf")
            PAUSE.wait(0.02)
    return time.monotonic() - began
