"""A skill that reads what it gets with Amazon's own SDK, and answers as its users' names say.

Users with FAILS in their id get 500 twice, then 200; with NEVER, 500 always. Prints the port, then what it read of each request.
"""

import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ask_sdk_core.serialize import DefaultSerializer
from ask_sdk_model import RequestEnvelope
from ask_sdk_model.interfaces.messaging import MessageReceivedRequest

attempts = Counter()


class Skill(BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        envelope = DefaultSerializer().deserialize(content, RequestEnvelope)
        request, system = envelope.request, envelope.context.system
        assert isinstance(request, MessageReceivedRequest), type(request)
        user = system.user.user_id
        attempts[user] += 1
        fails = "NEVER" in user or ("FAILS" in user and attempts[user] < 3)
        print(json.dumps({
            "user": user, "attempt": attempts[user], "message": request.message, "type": request.object_type,
            "requestId": request.request_id, "timestamp": request.timestamp.isoformat(), "version": envelope.version,
            "application": system.application.application_id, "apiEndpoint": system.api_endpoint,
            "hasConsentToken": system.user.permissions.consent_token.startswith("Atza|"),
            "hasApiAccessToken": bool(system.api_access_token)}), flush=True)
        self.send_response(500 if fails else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"version": "1.0", "response": {}}')

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Skill)
print(json.dumps({"skill.listener": f"127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
