"""A receiver of push notifications."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_asgi.background import deliverer, outgoing
from tests.support.receiver import Receiver, receiving


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a certificate of localhost."""
    folder = tmp_path_factory.mktemp("tls")
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    name = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", "req", *options, *files, *name], check=True, capture_output=True)
    return folder


@pytest.fixture
def receiver(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Yield a receiver that the app trusts and calls as if it were public, and again soon."""
    monkeypatch.setattr(deliverer, "WAITS", (0.1, 0.2))
    monkeypatch.setattr(deliverer, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(outgoing, "is_public", lambda address: address.version == 4)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with receiving(context) as found:
        yield found
