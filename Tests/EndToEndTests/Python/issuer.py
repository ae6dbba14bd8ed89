"""Serves the keys of an issuer: issuer.py PORT FILE

Tells its port in a line of JSON, and each request in another.
"""
import http.server
import json
import pathlib
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # As Kubernetes does.
        if "application/jwk-set+json" not in self.headers["Accept"]:
            return self.send_error(406)
        content = pathlib.Path(sys.argv[2]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/jwk-set+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        print(json.dumps({"asked": self.headers["Authorization"] or "nobody"}), flush=True)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(json.dumps({"message": "listening", "issuer": f"127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
