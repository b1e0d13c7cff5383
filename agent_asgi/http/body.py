"""Reading a request's body within limits of size, time and nesting."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from itertools import accumulate
from types import coroutine
from typing import Any

from ..config import Limits
from ..errors import AgentError, InvalidRequest, TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
LINGER_SECONDS = 2.0
LINGER_BYTES = 16 << 20
"""How much of a refused body is still read, so that its sender can read the answer."""
_REST = bytes(set(range(256)) - set(b'[]{}"'))
_SQUARE = bytes.maketrans(b"{}", b"[]")
_STEPS = {ord("["): 1, ord("]"): -1}


class ClientGone(Exception):
    """The client disconnected before its request had arrived."""


class BodyTimeout(AgentError):
    """The body took longer than `Timeouts.body` to arrive."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body did not arrive within {seconds:g} s.", 408, "body_timeout")


async def read_body(receive: Receive, limit: int, declared: str | None, seconds: float) -> bytes:
    """Read a request's body.

    Args:
        receive: The ASGI callable.
        limit: The largest size, in bytes.
        declared: The value of `content-length`, if there is one.
        seconds: How long it may take to arrive.

    Raises:
        TooLarge: The body is larger than `limit`, as declared or as received.
        BodyTimeout: It took too long.
        ClientGone: The client disconnected.
    """
    if declared is not None and declared.isdecimal() and int(declared[:19]) > limit:
        raise TooLarge(limit)
    steps = receive().__await__()
    try:  # usually the body has arrived, and no timer is needed
        waiting = next(steps)
    except StopIteration as ready:
        message = ready.value
        if message["type"] == "http.request" and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")
            if len(whole) > limit:
                raise TooLarge(limit) from None
            return whole
        rest = _read_on(receive, limit, message)
    else:
        rest = _read_from(_rest(steps, waiting), receive, limit)
    try:
        async with asyncio.timeout(seconds):
            return await rest
    except TimeoutError:
        raise BodyTimeout(seconds) from None


async def _read_from(first: Awaitable[Any], receive: Receive, limit: int) -> bytes:
    return await _read_on(receive, limit, await first)


async def _read_on(receive: Receive, limit: int, message: MutableMapping[str, Any]) -> bytes:
    body = bytearray()
    while message["type"] == "http.request":
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge(limit)
        if not message.get("more_body", False):
            return bytes(body)
        message = await receive()
    raise ClientGone


@coroutine
def _rest(steps: Generator[Any, Any, Any], waiting: Any) -> Generator[Any, Any, Any]:
    """Await the rest of a coroutine whose first step was taken by hand."""
    try:
        while True:
            try:
                yield waiting
            except BaseException as error:  # noqa: BLE001  it is thrown into the coroutine
                waiting = steps.throw(error)
            else:
                waiting = next(steps)
    except StopIteration as ready:
        return ready.value


async def discard(receive: Receive) -> None:
    """Read the rest of a refused body, up to a limit.

    A client whose connection is closed while it sends would not see the answer.
    """
    size = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while size < LINGER_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))
    except TimeoutError:
        return


def check_shape(body: bytes, limits: Limits) -> None:
    """Check the number and the nesting of a body's arrays and objects before it is decoded.

    Raises:
        InvalidRequest: `Limits.max_depth` or `Limits.max_nodes` is exceeded.
    """
    limit = min(limits.max_depth, limits.max_nodes)
    if len(body) <= 2 * limit or body.count(b"[") + body.count(b"{") <= limit:
        return
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # JSON escapes only within strings
    bare = plain.translate(_SQUARE, _REST).replace(b'""', b"")
    brackets = b"".join(bare.split(b'"')[::2])  # outside strings
    nodes = brackets.count(b"[")
    if nodes > limits.max_nodes:
        raise InvalidRequest(
            f"The body has {nodes} arrays and objects (limit {limits.max_nodes}).",
            code="too_many_nodes",
        )
    for _ in range(limits.max_depth):
        brackets = brackets.replace(b"[]", b"")  # the innermost level
        if not brackets:
            return
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > 0:
        raise InvalidRequest(
            f"The body is nested too deeply (limit {limits.max_depth} levels).",
            code="nested_too_deeply",
        )
