"""Clients that disconnect or stop reading: their runs are cancelled, their connections closed."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from starlette.types import Message, Send

from ..context import Cause
from .body import ClientGone, Receive

logger = logging.getLogger("agent_asgi")

PIECE = 256 << 10
"""How many bytes of an answer are sent at once."""


class ClientStalled(Exception):
    """The client has read nothing of its answer for longer than `Timeouts.write`."""


async def cut(send: Send) -> None:
    """Reset the connection of a client that does not read; only with uvicorn.

    uvicorn closes a connection when the client has read everything, which may never happen.

    Args:
        send: The server's ASGI callable.
    """
    transport = _transport(send)
    if transport is not None:
        reset(transport)
        await asyncio.sleep(0.01)  # until the server has noticed


async def send_in_pieces(message: Message, receive: Receive, send: Send, seconds: float) -> None:
    """Send a large body; the server's buffer never holds more of it than a piece.

    Args:
        message: The ASGI message, which has the whole body.
        receive: The server's ASGI callable.
        send: The server's ASGI callable.
        seconds: How long the client may read nothing.

    Raises:
        ClientStalled: The client does not read; its connection must be reset.
    """

    async def send_all() -> None:
        body = memoryview(message["body"])
        for begin in range(0, len(body), PIECE):
            end = begin + PIECE
            piece = {"body": bytes(body[begin:end]), "more_body": end < len(body)}
            await send({**message, **piece})

    sending = asyncio.create_task(send_all())
    read = bytes_read(receive)
    try:
        while not (await asyncio.wait([sending], timeout=seconds))[0]:
            before, read = read, bytes_read(receive)
            if read is not None and read == before:
                raise ClientStalled
        sending.result()
    finally:
        sending.cancel()


def watch_unread(send: Send, seconds: float) -> None:
    """Reset the connection if the client stops reading a response that has been written.

    The unread part stays in memory, and blocks the connection's next request.

    Args:
        send: The server's ASGI callable.
        seconds: How long the client may read nothing.
    """
    transport = _transport(send)
    if transport is None or not transport.get_write_buffer_size():
        return
    before = bytes_read(send)

    def check() -> None:
        if before is not None and transport.get_write_buffer_size() and bytes_read(send) == before:
            reset(transport)
        else:
            watch_unread(send, seconds)

    asyncio.get_running_loop().call_later(seconds, check)


def bytes_read(call: Callable[..., Any]) -> int | None:
    """Return how many bytes the client has acknowledged on its connection.

    The fill level of the server's buffer is no measure: the kernel takes more only when a third of
    its buffer is free, some MB, which takes a slow client minutes.

    Args:
        call: uvicorn's `receive` or `send`.

    Returns:
        The number; None with another server or another system than Linux.
    """
    transport = _transport(call)
    if transport is None or not hasattr(socket, "TCP_INFO"):
        return None
    with contextlib.suppress(OSError, ValueError, struct.error):  # closed, or not TCP
        connection = transport.get_extra_info("socket")
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size)
        acked: int = _ACKED.unpack(info)[0]
        return acked
    return None


_ACKED = struct.Struct("=120xQ")
"""`tcpi_bytes_acked` in the kernel's `struct tcp_info`."""


def writes_last(call: Callable[..., Any]) -> bool:
    """Return whether the server waits before it writes a message, as uvicorn does, not after.

    Args:
        call: The server's `receive` or `send`.
    """
    return _transport(call) is not None


def _transport(call: Callable[..., Any]) -> Any:
    """Return the transport of uvicorn's `receive` or `send`; None with another server."""
    return getattr(getattr(call, "__self__", None), "transport", None)


def reset(transport: Any) -> None:
    """Reset a connection, so that the kernel discards what was not read.

    One that is being closed waits until everything has been read.
    """
    if transport.is_closing() and not transport.get_write_buffer_size():
        return
    with contextlib.suppress(OSError, ValueError):  # the client closed it meanwhile
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def while_connected(receive: Receive, waiting: Coroutine[Any, Any, None]) -> None:
    """Wait, but not for a client that disconnects meanwhile.

    Args:
        receive: The ASGI callable of a request whose body has been read.
        waiting: What is waited for.

    Raises:
        ClientGone: The client disconnected; what was waited for is cancelled.
    """
    tasks = asyncio.create_task(waiting), asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientGone
        tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Watched(Protocol):
    """A run that is cancelled when its client disconnects."""

    def cancel(self, cause: Cause) -> None:
        """Cancel the run."""


class Watch:
    """Waits for the client to disconnect, and cancels its run then.

    Args:
        run: The run.
        receive: The ASGI callable.
    """

    __slots__ = ("_task",)

    def __init__(self, run: Watched, receive: Receive) -> None:
        self._task: asyncio.Task[None] | None = asyncio.create_task(_listen(run, receive))

    def stop(self) -> None:
        """Stop waiting."""
        if self._task is not None:
            self._task.cancel()
            self._task = None  # its CancelledError would keep the request alive in a cycle


async def _listen(run: Watched, receive: Receive) -> None:
    try:
        await _disconnect(receive)
    except Exception:
        logger.debug("The server does not report disconnects; a run continues.", exc_info=True)
    else:
        run.cancel("client_disconnected")
