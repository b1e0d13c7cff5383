"""An issuer of JSON Web Tokens on 127.0.0.1, with keys that can be rotated."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "agents"
DISCOVERY = "/.well-known/openid-configuration"


class Issuer:
    """Signs tokens, and serves its metadata and its keys.

    Attributes:
        asked: The paths that were asked for.
        down: Whether it answers with 500.
        name: What the metadata says that it is called.
    """

    def __init__(self, url: str) -> None:
        self.url = self.name = url
        self.asked: list[str] = []
        self.down = False
        self.keys: dict[str, Any] = {}
        self.add("one")

    def add(self, kid: str, *, elliptic: bool = False) -> None:
        """Add a key."""
        self.keys[kid] = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    def sign(self, kid: str | None = "one", headers: Any = None, **claims: Any) -> str:
        """Return a token; a claim of None is left out."""
        key = self.keys[kid or "one"]
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        named = {} if kid is None else {"kid": kid}
        return jwt.encode(
            self.claims(**claims), key, algorithm, headers={**named, **(headers or {})}
        )

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Return the claims of a valid token, with changes."""
        now = int(time.time())
        valid = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300}
        return {name: value for name, value in (valid | claims).items() if value is not None}

    def public_pem(self, kid: str = "one") -> bytes:
        """Return a public key, which everybody knows."""
        pem: bytes = (
            self.keys[kid]
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        return pem

    def key_set(self) -> dict[str, Any]:
        """Return the JWK Set."""
        return {"keys": [{**_jwk(key), "kid": kid, "use": "sig"} for kid, key in self.keys.items()]}

    def document(self, path: str) -> Any:
        """Return what it serves at a path."""
        if path == DISCOVERY:
            return {"issuer": self.name, "jwks_uri": f"{self.url}/keys"}
        return self.key_set()


def _jwk(key: Any) -> dict[str, Any]:
    kind: Any = jwt.algorithms.RSAAlgorithm
    if isinstance(key, ec.EllipticCurvePrivateKey):
        kind = jwt.algorithms.ECAlgorithm
    found: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in found.items() if name != "key_ops"}


@contextlib.contextmanager
def issuing() -> Iterator[Issuer]:
    """Serve an issuer on a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            body = json.dumps(issuer.document(self.path)).encode()
            self.send_response(500 if issuer.down else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield issuer
        server.shutdown()
        thread.join(10)
