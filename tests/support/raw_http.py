"""HTTP/1.1 as bytes over bare sockets."""

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit


@contextlib.contextmanager
def connections(url: str, count: int = 1) -> Iterator[list[socket.socket]]:
    """Open raw connections with a small receive buffer."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            each = stack.enter_context(socket.socket())
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.settimeout(20)
            each.connect((urlsplit(url).hostname, urlsplit(url).port))
            opened.append(each)
        yield opened


def post(body: bytes, *headers: bytes, path: bytes = b"/responses") -> bytes:
    """Return the bytes of a request."""
    lines = [b"POST %s HTTP/1.1" % path, b"host: x", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def rest_of(opened: socket.socket, pause: float = 0.0) -> bytes:
    """Read until the server closes the connection."""
    got = bytearray()
    while part := opened.recv(1 << 17):
        got += part
        time.sleep(pause)
    return bytes(got)


def answered(url: str, sent: bytes) -> bytes:
    """Send bytes and return everything received until the server closes the connection."""
    with connections(url) as (opened,):
        with contextlib.suppress(ConnectionError):  # closed while sending
            opened.sendall(sent)
            return rest_of(opened)
    return b""


def leave(url: str, body: bytes, after: bytes) -> None:
    """POST over a bare socket, read until some bytes arrive, close."""
    port = int(url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = f"POST /responses HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        got = b""
        while after not in got:
            got += connection.recv(65536)
