"""A skill with the handler of Docs/SkillDevelopers.md, served over HTTP: reporting.py python|node.

Prints the port, and what the handler prints. RECEIPTS is where the handler reports messages.
"""

import json
import os
import pathlib
import re
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NODE = """
import http from 'node:http';
import {messageReceived} from './reporting-skill.mjs';
const responseBuilder = {getResponse: () => ({})};
const server = http.createServer(async (request, response) => {
  let text = '';
  for await (const piece of request) text += piece;
  const input = {requestEnvelope: JSON.parse(text), responseBuilder};
  response.end(messageReceived.canHandle(input) ? JSON.stringify(await messageReceived.handle(input)) : '{}');
});
server.listen(0, '127.0.0.1', 4096, () => console.log(JSON.stringify({'skill.listener': `127.0.0.1:${server.address().port}`})));
"""

page = (pathlib.Path(__file__).resolve().parents[3] / "Docs/SkillDevelopers.md").read_text()
folder = pathlib.Path(tempfile.mkdtemp(prefix="skillgate-reporting-"))
for name, text in re.findall(r"<!-- test: file (reporting\S+) -->\n```\w+\n(.*?)\n```", page, re.S):
    (folder / name).write_text(text + "\n")

if sys.argv[1] == "node":
    (folder / "server.mjs").write_text(NODE)
    os.execvp("node", ["node", str(folder / "server.mjs")])

sys.path.insert(0, str(folder))
import reporting_skill  # noqa: E402

# Lines of several threads would run into each other.
reporting_skill.print = lambda *words, flush: os.write(1, (" ".join(words) + "\n").encode())


class Server(ThreadingHTTPServer):
    request_queue_size = 4096


class Skill(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = json.dumps(reporting_skill.lambda_handler(event, None)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


server = Server(("127.0.0.1", 0), Skill)
print(json.dumps({"skill.listener": f"127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
