"""The client's leaving, or its reading no more, which cancel its run or cut its connection."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.types import Send

from .body import Receive
from .run import Run

logger = logging.getLogger("agent_asgi")


class ClientStalled(Exception):
    """The client has read nothing of its stream for longer than `Timeouts.write`."""


async def cut(send: Send) -> None:
    """Cut the connection of a client that reads nothing, where the server lets us.

    uvicorn closes a connection only once all that was written has been taken, which such a client
    never does.

    Args:
        send: The ASGI callable as the server gave it.
    """
    transport = _transport(send)
    if transport is not None:
        _reset(transport)
        await asyncio.sleep(0.01)  # until the server has noticed


def watch_unread(send: Send, seconds: float) -> None:
    """Have the connection cut, should the client take nothing more of an answer that has ended.

    What it has not taken waits in the server's memory, and the next request of the same connection
    waits for that.

    Args:
        send: The ASGI callable as the server gave it.
        seconds: How long it may take nothing.
    """
    transport = _transport(send)
    if transport is not None and transport.get_write_buffer_size():
        _look_later(send, transport, seconds)


def _look_later(send: Send, transport: Any, seconds: float) -> None:
    before = taken(send)

    def look() -> None:
        if transport.is_closing() or not transport.get_write_buffer_size():
            return
        if before is not None and taken(send) == before:
            _reset(transport)
        else:
            _look_later(send, transport, seconds)

    asyncio.get_running_loop().call_later(seconds, look)


def taken(call: Callable[..., Any]) -> int | None:
    """Tell how many bytes the client has taken on a connection, as far as the kernel tells.

    That a server's buffer stays full says nothing: the kernel takes more only once a third of its
    own is free, some MB, for which a slow client needs minutes.

    Args:
        call: `receive` or `send`, as uvicorn gave it.

    Returns:
        Bytes; None below another server or another system than Linux.
    """
    transport = _transport(call)
    if transport is None or not hasattr(socket, "TCP_INFO"):
        return None
    with contextlib.suppress(OSError, ValueError, struct.error):  # it is closed, or no TCP
        opened = transport.get_extra_info("socket")
        about = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size)
        acked: int = _ACKED.unpack(about)[0]
        return acked
    return None


_ACKED = struct.Struct("=120xQ")
"""`tcpi_bytes_acked` in the kernel's `struct tcp_info`."""


def writes_last(call: Callable[..., Any]) -> bool:
    """Tell whether the server, uvicorn, waits for room before it writes a message, not after.

    Args:
        call: `receive` or `send`, as the server gave it.
    """
    return _transport(call) is not None


def _transport(call: Callable[..., Any]) -> Any:
    """Give the connection below uvicorn's `receive` or `send`; None where it is another's."""
    return getattr(getattr(call, "__self__", None), "transport", None)


def _reset(transport: Any) -> None:
    """End a connection at once: nor does the kernel keep what nobody takes."""
    if transport.is_closing():
        return
    with contextlib.suppress(OSError, ValueError):  # the client was faster
        opened = transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Watch:
    """Listens for the client's leaving from when the handler first waits for something.

    A handler that never waits costs no listener.

    Args:
        run: The run that is cancelled then.
        receive: The ASGI callable.
    """

    def __init__(self, run: Run, receive: Receive) -> None:
        self._run = run
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        run.on_wait = self.start

    def start(self) -> None:
        """Listen from now on."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())

    def stop(self) -> None:
        """Listen no more."""
        self._run.on_wait = None
        if self._task is not None:
            self._task.cancel()
            self._task = None  # its CancelledError would hold all of the request in a circle

    async def _listen(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Exception:
            logger.debug("The server does not tell of a client's leaving.", exc_info=True)
        else:
            self._run.cancel("client_disconnected")
