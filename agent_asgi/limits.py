"""How much a request may be and how long a run may take."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from .errors import TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what comes in.

    Args:
        max_body_bytes: Size of a request body. Default 1 MiB; a larger one is a 413.
    """

    max_body_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds on time, in seconds.

    Args:
        run: A run in all. Default None: as long as it takes. One that takes longer is a 504.
        ping: Silence on a stream before a comment is sent, which keeps proxies and the client's
            read timeout quiet. Default 15.
        cleanup: How long a cancelled handler may clean up. Default 5.
        tracing: How long the start waits for tracing to be set up. Default 20; where it takes
            longer, runs are served without traces until it is.
    """

    run: float | None = None
    ping: float = 15.0
    cleanup: float = 5.0
    tracing: float = 20.0


class ClientGone(Exception):
    """The client left before its request had arrived whole."""


async def read_body(receive: Receive, limit: int, declared: bytes | None) -> bytes:
    """Read a request's body.

    Args:
        receive: The ASGI callable.
        limit: Largest size in bytes.
        declared: Value of `content-length`, where there is one.

    Raises:
        TooLarge: The body is larger than `limit`, declared or counted while it arrives.
        ClientGone: The client left.
    """
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise TooLarge(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > limit:
            raise TooLarge(limit)
        return whole
    body = bytearray()
    while message["type"] == "http.request":
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge(limit)
        if not message.get("more_body", False):
            return bytes(body)
        message = await receive()
    raise ClientGone
