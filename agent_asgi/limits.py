"""How much a request may be and how long a run may take."""

import re
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
        worker_concurrency: How many background runs one process executes at once. Default 20. 0
            leaves them to other processes, such as `agent-asgi worker`; with PostgreSQL only.
        max_attempts: How often a run is begun whose process died. Default 20; then it has failed.
    """

    max_body_bytes: int = 1 << 20
    worker_concurrency: int = 20
    max_attempts: int = 20


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
        drain: How long detached runs may go on when the server ends. Default 30; then they are
            given back for another process to take over.
        websocket: How long a WebSocket connection lasts. Default 3600 (Open Responses).
        heartbeat: Time between two signs of life of a process that executes runs. Default 5.
        stalled: Silence after which its runs are taken over. Default 20.
        rescue: Time between two looks for runs to take over. Default 10.
        poll: Time between two looks at PostgreSQL's queue, where its notifications fail.
            Default 5.
    """

    run: float | None = None
    ping: float = 15.0
    cleanup: float = 5.0
    tracing: float = 20.0
    drain: float = 30.0
    websocket: float = 3600.0
    heartbeat: float = 5.0
    stalled: float = 20.0
    rescue: float = 10.0
    poll: float = 5.0

    def __post_init__(self) -> None:
        if self.heartbeat * 2 > self.stalled:
            raise ValueError("Timeouts: stalled must be at least twice the heartbeat.")


class ClientGone(Exception):
    """The client left before its request had arrived whole."""


async def read_body(receive: Receive, limit: int, declared: str | None) -> bytes:
    """Read a request's body.

    Args:
        receive: The ASGI callable.
        limit: Largest size in bytes.
        declared: Value of `content-length`, where there is one.

    Raises:
        TooLarge: The body is larger than `limit`, declared or counted while it arrives.
        ClientGone: The client left.
    """
    if declared is not None and re.fullmatch("[0-9]{1,18}", declared) and int(declared) > limit:
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
