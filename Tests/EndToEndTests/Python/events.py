"""A receiver of events that takes them with the libraries of Standard Webhooks and CloudEvents, and holds them against openapi.yaml.

events.py SECRET: prints the port, then what it read of each event. `GET /status/N` has it answer status N from then on.
"""

import json
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonschema
import yaml
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook

webhook = Webhook(sys.argv[1])
api = yaml.safe_load((pathlib.Path(__file__).resolve().parents[3] / "Docs/openapi.yaml").read_text())
schema = jsonschema.Draft202012Validator(api["components"]["schemas"]["Event"])
answer = 204


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global answer
        answer = int(self.path.rsplit("/", 1)[1])
        self.respond(200)

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        # Throws if the signature or the time is wrong.
        webhook.verify(content, headers)
        event = from_http_event(HTTPMessage(headers=headers, body=content), JSONFormat())
        schema.validate(json.loads(content))
        assert event.get_id() == headers["webhook-id"], headers
        # In one piece: others write at the same time.
        sys.stdout.write(json.dumps({
            "path": self.path, "status": answer, "id": event.get_id(), "type": event.get_type(),
            "source": event.get_source(), "subject": event.get_subject(), "time": event.get_time().isoformat(),
            "data": event.get_data()}) + "\n")
        sys.stdout.flush()
        self.respond(answer)

    def respond(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(json.dumps({"events.listener": f"127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
