"""The client's leaving, or its reading no more, which cancel its run."""

import asyncio
import logging
import socket
import struct

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
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        opened = transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()  # with a reset: nor does the kernel keep what nobody takes
        await asyncio.sleep(0.01)  # until the server has noticed


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
