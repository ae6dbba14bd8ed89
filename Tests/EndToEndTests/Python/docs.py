"""Does what a page says, as a reader would: docs.py PAGE.

Runs in a network of its own, where every port is free, and in a folder of its own. Blocks of a page are taken in order. A comment
before a block says what is special about it:

    <!-- test: skip, WHY -->          is not run
    <!-- test: background -->         goes on running until the page ends
    <!-- test: expect TEXT -->        its output has TEXT
    <!-- test: file NAME -->          is written to a file
    <!-- test: append NAME -->        is added to a file
    <!-- test: run -->                is run, whatever its language
    <!-- test: setting gateway -->    not before a block: from here on there is the gateway that the page's reader was given, and
                                      what stands for its names on the page (GATEWAY, `sgk_…`, `account.…`) means it

A block of shell without one is run, and has to succeed; one in another language without one is only read.
"""

import ctypes
import fcntl
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"(?:<!-- test: (?P<what>[^>]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)\n```", re.S)
SETTING = "<!-- test: setting gateway -->"
KEY = "orders-0123456789abcdef"
CONFIGURATION = """
listeners:
  - address: 127.0.0.1:8080
  - address: 127.0.0.1:443
    tls: {certificateChainFile: cert.pem, privateKeyFile: key.pem}
regions:
  NA: {apiEndpoint: http://127.0.0.1:9080/na, aliases: [https://api.amazonalexa.com]}
  EU: {apiEndpoint: http://127.0.0.1:9080/eu, aliases: [https://api.eu.amazonalexa.com]}
  FE: {apiEndpoint: http://127.0.0.1:9080/fe, aliases: [https://api.fe.amazonalexa.com]}
tokenEndpoint: http://127.0.0.1:9080/auth/o2/token
skills:
  - {name: weather, clientID: amzn1.application-oa2-client.simulator, clientSecret: {env: SECRET}, defaultRegion: EU}
callers:
  - {name: orders, apiKeys: [{env: KEY}], clientID: orders, clientSecret: {env: GATEWAY_SECRET}, skills: [weather]}
callerTokens: {signingKeys: [{env: SIGNING_KEY}]}
"""
CLONE_NEW_NETWORK, CLONE_NEW_USER = 0x40000000, 0x10000000


def enter_own_network():
    user, group = os.getuid(), os.getgid()
    # Who is not root becomes root of a world of his own, which is all that a network takes.
    flags = CLONE_NEW_NETWORK | (CLONE_NEW_USER if user != 0 else 0)
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        sys.exit("no network of its own: " + os.strerror(ctypes.get_errno()))
    if user != 0:
        for name, text in [("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")]:
            pathlib.Path("/proc/self", name).write_text(text)
    interface = struct.pack("16sh", b"lo", 1 | 64)  # IFF_UP and IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, interface)  # SIOCSIFFLAGS


def blocks(page):
    # Blocks within lists are indented.
    text = re.sub(r"(?m)^ {2,4}(?=```)", "", page.read_text())
    return list(BLOCK.finditer(text))


class Reader:
    def __init__(self, page, folder):
        self.page, self.folder, self.running, self.said = page, folder, [], ""
        for name in ("Deploy", "Config", "Docs"):
            (folder / name).symlink_to(ROOT / name)
        tools = pathlib.Path(sys.executable).parent
        binary = pathlib.Path(os.environ["TEST_SKILLGATE"]).resolve().parent
        self.environment = {
            "PATH": f"{binary}:{tools}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8", "TERM": "dumb"}

    def fail(self, block, why):
        line = self.page.read_text()[: self.page.read_text().find(block["text"][:60])].count("\n") + 1
        sys.exit(f"{self.page.name}:{line}: {why}\n{block['text']}")

    def give_gateway(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=self.folder, check=True, capture_output=True)
        (self.folder / "given.yaml").write_text(CONFIGURATION)
        self.environment |= {
            "SECRET": "simulator-secret", "KEY": KEY, "GATEWAY_KEY": KEY, "GATEWAY_SECRET": "sdk-secret-0123456789",
            "SIGNING_KEY": "0123456789abcdef0123456789abcdef", "CURL_CA_BUNDLE": f"{self.folder}/cert.pem",
            "REQUESTS_CA_BUNDLE": f"{self.folder}/cert.pem", "NODE_EXTRA_CA_CERTS": f"{self.folder}/cert.pem",
            "JAVA_TOOL_OPTIONS": f"-Djavax.net.ssl.trustStore={self.folder}/trust.p12 -Djavax.net.ssl.trustStorePassword=changeit"}
        subprocess.run(
            ["keytool", "-importcert", "-noprompt", "-alias", "gateway", "-file", "cert.pem", "-keystore", "trust.p12",
             "-storepass", "changeit"], cwd=self.folder, check=True, capture_output=True)
        self.start({"text": "skillgate simulate"})
        self.start({"text": "skillgate serve --config given.yaml"})
        self.run({"text": "curl -sf http://127.0.0.1:9090/readyz"}, None)

    def meant(self, text):
        """What a reader makes of the names that stand for his own."""
        for name, own in [("GATEWAY/", "localhost/"), ("GATEWAY\"", "localhost\""), ("GATEWAY'", "localhost'"), ("sgk_…", KEY), ("account.…", "account.EU-READER")]:
            text = text.replace(name, own)
        return text

    def start(self, block):
        process = subprocess.Popen(
            ["bash", "-ec", "exec " + block["text"]], cwd=self.folder, env=self.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.set_blocking(process.stdout.fileno(), False)
        self.running.append((block, process))

    def run(self, block, expected):
        # What was started in the background may need a moment: a reader would try again, too.
        for _ in range(100):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block["text"]], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            output = done.stdout + done.stderr
            if done.returncode == 0 and (expected is None or expected in output):
                return
            self.look_at_background()
            if not self.running:
                break
            self.wait_for_news()
        self.fail(block, f"ended with {done.returncode}; expected {expected or 'success'}; it said:\n{output}")

    def wait_for_news(self):
        """Until something in the background says something, or a moment has passed."""
        for pipe in select.select([process.stdout for _, process in self.running], [], [], 0.1)[0]:
            self.said += pipe.read() or ""

    def look_at_background(self):
        for block, process in self.running:
            if process.poll() is not None:
                self.fail(block, f"ended with {process.returncode}:\n{self.said}{process.stdout.read()}")

    def end(self):
        for _, process in self.running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def read(self):
        counts = {"run": 0, "skipped": 0}
        if SETTING in self.page.read_text():
            self.give_gateway()
        for found in blocks(self.page):
            block = {name: found[name] for name in ("what", "language", "text")}
            block["text"] = self.meant(block["text"])
            what, _, argument = (block["what"] or "").partition(" ")
            if what == "skip,":
                counts["skipped"] += 1
            elif what == "background":
                self.start(block)
                counts["run"] += 1
            elif what in ("file", "append"):
                with open(self.folder / argument, "a" if what == "append" else "w") as file:
                    file.write(block["text"] + "\n")
                    counts["run"] += 1
            elif what in ("expect", "run") or (block["language"] == "sh" and what == ""):
                if block["language"] == "python":
                    (self.folder / "block.py").write_text(block["text"])
                    block = {"text": "python3 block.py", "language": "sh"}
                self.run(block, argument if what == "expect" else None)
                counts["run"] += 1
            elif what:
                self.fail(block, f"`{what}` is no instruction")
        self.look_at_background()
        print(f"{self.page.name}: {counts['run']} blocks done, {counts['skipped']} left out")


def main():
    page = ROOT / sys.argv[1]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillgate-docs-"))
    enter_own_network()
    reader = Reader(page, folder)
    try:
        reader.read()
    finally:
        reader.end()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
