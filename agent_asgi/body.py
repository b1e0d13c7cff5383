"""A request's body: read within bounds of size and time, looked at before it is decoded."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from itertools import accumulate
from types import coroutine
from typing import Any

from .errors import AgentError, InvalidRequest, TooLarge
from .limits import Limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
LINGER_SECONDS = 2.0
LINGER_BYTES = 16 << 20
"""How much of a refused body is still taken, so that its sender gets to read the answer."""
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class ClientGone(Exception):
    """The client left before its request had arrived whole."""


class BodyTimeout(AgentError):
    """The body took longer than `Timeouts.body` to arrive."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body did not arrive within {seconds:g} s.", 408, "body_timeout")


async def read_body(
    receive: Receive, limit: int, declared: str | None, seconds: float = 30.0
) -> bytes:
    """Read a request's body.

    Args:
        receive: The ASGI callable.
        limit: Largest size in bytes.
        declared: Value of `content-length`, where there is one.
        seconds: How long it may take. Default 30.

    Raises:
        TooLarge: The body is larger than `limit`, declared or counted while it arrives.
        BodyTimeout: It took too long.
        ClientGone: The client left.
    """
    if declared is not None and declared.isdecimal() and int(declared[:19]) > limit:
        raise TooLarge(limit)
    steps = receive().__await__()
    try:  # mostly it is there, and needs no timer
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
    """Go on with what has been awaited by hand so far."""
    try:
        while True:
            try:
                yield waiting
            except BaseException as error:  # noqa: BLE001  all of it belongs to what is awaited
                waiting = steps.throw(error)
            else:
                waiting = next(steps)
    except StopIteration as ready:
        return ready.value


async def discard(receive: Receive) -> None:
    """Take what still comes of a refused body, up to a bound: a sender that is cut off while it
    sends would see its connection break, not the answer.
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
    """Look at how a body's arrays and objects are nested, before time is spent on them.

    Raises:
        InvalidRequest: They are too deep, or too many.
    """
    most = min(limits.max_depth, limits.max_nodes)
    if body.count(b"[") + body.count(b"{") <= most:
        return
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    nodes = brackets.count(b"[") + brackets.count(b"{")
    if nodes > limits.max_nodes:
        raise InvalidRequest(
            f"The body has {nodes} arrays and objects; {limits.max_nodes} are allowed.",
            code="too_many_nodes",
        )
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > limits.max_depth:
        raise InvalidRequest(
            f"The body is nested deeper than {limits.max_depth} levels.", code="nested_too_deeply"
        )
