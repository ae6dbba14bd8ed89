"""A skill that reports what it gets: skill.py PORT GATEWAY-PORT...

Asks one gateway after another until one answers. If none does it handles the message, as it should, and has Amazon deliver it again, so
that it is reported all the same. GET gives what it has handled: by the id of the message, how often.
"""

import collections
import http.client
import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

handled = collections.Counter()
# Ids whose report was not answered, and may have been the first; and those whose messages have been handled for that.
doubtful, settled = set(), set()
lock = threading.Lock()


def report(receipt):
    """Whether the message is to be handled; None if no gateway can say."""
    for port in random.sample(sys.argv[2:], len(sys.argv) - 2):
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=2)
        try:
            connection.request("POST", "/v1/receipts", json.dumps({"id": receipt}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 200:
                with lock:
                    is_doubtful = receipt in doubtful
                    doubtful.discard(receipt)
                return json.loads(content)["first"] or is_doubtful
            if answer.status == 404:
                raise SystemExit("the gateway does not know its own id")
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        with lock:
            doubtful.add(receipt)
    return None


class Skill(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]["message"]
        is_to_be_handled = report(message["receipt"])
        with lock:
            if is_to_be_handled is not False and message["receipt"] not in settled:
                handled[message["id"]] += 1
            if is_to_be_handled is None:
                settled.add(message["receipt"])
        self.answer(503 if is_to_be_handled is None else 200, b"{}")

    def do_GET(self):
        with lock:
            self.answer(200, json.dumps(handled).encode())

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 4096


Server(("127.0.0.1", int(sys.argv[1])), Skill).serve_forever()
