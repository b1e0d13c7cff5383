"""The client's leaving, or its reading no more, which cancel its run or cut its connection."""

import asyncio
import contextlib
import logging
import socket
import struct
import sys
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
        _look_later(transport, seconds)


def _look_later(transport: Any, seconds: float) -> None:
    opened = transport.get_extra_info("socket")
    left = transport.get_write_buffer_size() + _in_kernel(opened)

    def look() -> None:
        waiting = transport.get_write_buffer_size()
        if waiting and waiting + _in_kernel(opened) >= left:
            _reset(transport)
        elif waiting:
            _look_later(transport, seconds)

    asyncio.get_running_loop().call_later(seconds, look)


def _in_kernel(opened: Any) -> int:
    """Tell how many bytes the kernel holds of a connection, where it tells (Linux).

    It asks for more only once a third of its buffer is free, some MB; a slow client needs minutes.
    """
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # not everywhere
        import termios

        return int.from_bytes(
            fcntl.ioctl(opened.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder
        )
    return 0


def _transport(send: Send) -> Any:
    """Give the connection below uvicorn's `send`; None where it is another's."""
    return getattr(getattr(send, "__self__", None), "transport", None)


def _reset(transport: Any) -> None:
    """End a connection at once: nor does the kernel keep what nobody takes."""
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
