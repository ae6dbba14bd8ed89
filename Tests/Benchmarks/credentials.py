"""What it costs a message how its caller shows who it is: by an API key, or by a JSON Web Token on a kept connection.

The token is as large as a Kubernetes service account's, and signed by RS256. Measured is the CPU time of the gateway process a message,
in rounds that take turns.
"""

import base64
import json
import subprocess
import time

import bench

ISSUER, SUBJECT = "https://kubernetes.default.svc.cluster.local", "system:serviceaccount:shop:orders"


def encoded(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options).stdout


def token(folder):
    """A token, whose key is put into keys.json."""
    key = folder / "issuer.pem"
    openssl("genrsa", "-out", key, "2048")
    modulus = bytes.fromhex(openssl("rsa", "-in", key, "-noout", "-modulus", text=True).strip().partition("=")[2])
    web_key = {"kty": "RSA", "kid": "issuer-1", "use": "sig", "alg": "RS256", "n": encoded(modulus), "e": "AQAB"}
    (folder / "keys.json").write_text(json.dumps({"keys": [web_key]}))
    now = int(time.time())
    claims = {
        "iss": ISSUER, "sub": SUBJECT, "aud": ["skillgate"], "iat": now, "nbf": now, "exp": now + 3600,
        "kubernetes.io": {
            "namespace": "shop", "pod": {"name": "orders-7d9c6b5f4-x2x7k", "uid": "c7b3f5a4-0c5e-4a8e-9d6f-1f2e3d4c5b6a"},
            "serviceaccount": {"name": "orders", "uid": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"}}}
    header = {"alg": "RS256", "kid": "issuer-1"}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{encoded(openssl('dgst', '-sha256', '-sign', key, input=signed.encode()))}"


def main():
    arguments = bench.parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--seconds", type=int, default=3, help="of each round")
    options = arguments.parse_args()
    with bench.bench() as b:
        web_token = token(b.folder)
        issuers = f"issuers: [{{name: cluster, issuer: '{ISSUER}', jwks: keys.json, audiences: [skillgate]}}]"
        caller = f"  - {{name: orders, token: {{issuer: cluster, subject: '{SUBJECT}'}}, skills: [weather]}}"
        plain = b.gateway("API key", options.binary)
        both = b.gateway("with issuers", options.binary, issuers, callers=caller)

        def load(gateway, credential):
            return lambda is_first: b.load(gateway, 2 if is_first else options.seconds, credential=credential)

        bench.compare(
            {
                "API key": load(plain, bench.KEY), "API key, and issuers": load(both, bench.KEY),
                f"JSON Web Token, {len(web_token)} bytes": load(both, web_token)
            }, options.rounds, "API key")


if __name__ == "__main__":
    main()
