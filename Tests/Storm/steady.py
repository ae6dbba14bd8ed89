"""A steady load that does not wait for answers, and what they were: for tests in which not one of them may be missing.

In a process of its own, so that it waits for nothing that the test does.
"""

import collections
import gc
import json
import multiprocessing
import queue
import select
import socket
import time

from parts import Gateway


def request(number, run, region):
    content = json.dumps({"data": {"id": f"{run}-{number}"}}).encode()
    return (
        f"POST /v1/skillmessages/users/amzn1.ask.account.{region}-{number % 1000} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {Gateway.API_KEY}\r\nContent-Type: application/json\r\nGateway-Region: {region}\r\n"
        f"Idempotency-Key: {run}-{number}\r\nContent-Length: {len(content)}\r\n\r\n").encode() + content


class Load:
    """`rate` messages a second to `port`, in turns to `regions`, until it is told to end."""

    def __init__(self, port, rate, run, regions=("NA",), connections=64):
        context = multiprocessing.get_context("fork")
        self.is_over, self.results = context.Event(), context.Queue()
        self.process = context.Process(
            target=self._send, args=(port, rate, run, regions, connections), daemon=True)
        self.process.start()

    def end(self):
        """Returns how often each answer came: its status and, in a refusal of the gateway, what it is called."""
        self.is_over.set()
        while True:
            try:
                answers = self.results.get(timeout=1)
                break
            except queue.Empty:
                if not self.process.is_alive():
                    raise SystemExit("the load ended by itself")
        self.process.join()
        return answers

    def end_with(self, simulator, what):
        """Ends it, and fails unless every message was answered 202 and Amazon has each once."""
        answers = self.end()
        accepted = collections.Counter(message["data"]["id"] for message in simulator.get("messages"))
        doubled = sum(count > 1 for count in accepted.values())
        print(f"{what}: answers { {kind: count for (_, kind), count in answers.items()} }, accepted {len(accepted):,}, "
              f"doubled {doubled}")
        if set(answers) != {("NA", "202")} or answers["NA", "202"] != len(accepted) or doubled:
            raise SystemExit("storm: a message was not answered 202, or not sent once")

    def _send(self, port, rate, run, regions, connections):
        gc.disable()
        free = collections.deque(connect(port) for _ in range(connections))
        poll, busy, answers, sent = select.poll(), {}, collections.Counter(), 0
        start = time.monotonic()
        while busy or not self.is_over.is_set():
            while free and not self.is_over.is_set() and start + sent / rate <= time.monotonic():
                connection = free.popleft()
                region = regions[sent % len(regions)]
                connection.sendall(request(sent, run, region))
                busy[connection.fileno()] = connection, region
                poll.register(connection, select.POLLIN)
                sent += 1
            wait = max(0.0, start + sent / rate - time.monotonic()) if free else 0.05
            for file, _ in poll.poll(1 + min(wait, 0.05) * 1000):
                connection, region = busy.pop(file)
                poll.unregister(file)
                answer = b""
                try:
                    answer = connection.recv(65536)
                except OSError:
                    pass
                answers[region, kind(answer)] += 1
                if answer and b"connection: close" not in answer.lower():
                    free.append(connection)
                else:
                    connection.close()
                    free.append(connect(port))
        self.results.put(answers)


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def kind(answer):
    if not answer:
        return "no answer"
    name = answer.partition(b'"type":"urn:skillgate:problem:')[2].partition(b'"')[0].decode()
    return f"{answer[9:12].decode()} {name}".strip()
