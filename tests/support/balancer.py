"""A small load balancer: it passes connections on to the servers that are ready, in turn."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

CHECK_SECONDS = 0.2
CHECK_TIMEOUT = 5.0
CHECK = b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
CHUNK = 1 << 16


class Balancer:
    """Passes connections on, as a Kubernetes Service does: an open one stays with its server.

    A server gets new connections while its `/ready` answers 200.

    Attributes:
        port: The port on 127.0.0.1 on which it listens.
        refused: How many connections found no server.
    """

    def __init__(self) -> None:
        self.port = 0
        self.refused = 0
        self._ready: dict[int, bool] = {}
        self._checks: dict[int, asyncio.Task[None]] = {}
        self._turn = itertools.count()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The URL of the servers behind it."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, port: int) -> None:
        """Add a server, which gets connections once it is ready."""
        self._ready[port] = False
        self._checks[port] = asyncio.create_task(self._check(port))

    def remove(self, port: int) -> None:
        """Remove a server; its connections stay open."""
        self._checks.pop(port).cancel()
        del self._ready[port]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Balancer"]:
        """Listen and check the servers while the block runs."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            for task in self._checks.values():
                task.cancel()
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            while self._writers:
                await asyncio.sleep(0)

    def ready(self, port: int) -> bool:
        """Return whether a server gets connections."""
        return self._ready[port]

    async def _check(self, port: int) -> None:
        while True:
            with contextlib.suppress(TimeoutError):  # it is busy; what it said last holds
                self._ready[port] = await _answers(port)
            await asyncio.sleep(CHECK_SECONDS)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports = [port for port, ready in self._ready.items() if ready]
        try:
            port = ports[next(self._turn) % len(ports)]
            upstream = await asyncio.open_connection("127.0.0.1", port)
        except (ZeroDivisionError, OSError):
            self.refused += 1
            writer.close()
            return
        pair = {writer, upstream[1]}
        self._writers |= pair
        await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))
        self._writers -= pair


async def _answers(port: int) -> bool:
    """Return whether a server's `/ready` answers 200.

    Raises:
        TimeoutError: It does not answer in time.
    """
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(CHECK)
            line = await reader.readline()
            writer.close()
    except TimeoutError:
        raise
    except OSError:
        return False
    return b" 200 " in line


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
