"""A lightweight HTTP/1.1 client: one keep-alive connection with a hand-written parser."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop

END = b"\r\n0\r\n\r\n"
"""The last chunk of a chunked body. JSON has no bare CR, so no content looks like it."""
T = TypeVar("T")


@dataclass(slots=True)
class Answer:
    """A complete answer; if it went to a sink, the body is only its last raw bytes."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """A connection that sends one request at a time.

    Attributes:
        sink: Called with the bytes of a chunked body as they arrive, which are then discarded.
    """

    def __init__(self) -> None:
        self.sink: Callable[[bytes], None] | None = None
        self._transport: asyncio.Transport
        self._answered: asyncio.Future[Answer]
        self._buffer = bytearray()
        self._status = 0
        self._head = 0
        self._need = 0  # total bytes; 0 if the body is chunked

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its complete answer.

        Raises:
            ConnectionError: The server closed the connection.
        """
        self._buffer.clear()
        self._status = 0
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        """Abort the connection, even during a request."""
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        """Keep the connection's transport."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the pending request."""
        answered = getattr(self, "_answered", None)
        if answered is not None and not answered.done():
            answered.set_exception(ConnectionError(f"closed after {self._buffer[-200:]!r}"))

    def data_received(self, data: bytes) -> None:
        """Process received data; finish the request once the answer is complete."""
        buffer = self._buffer
        buffer += data
        if not self._status and not self._read_head():
            return
        if self._need:
            if len(buffer) >= self._need:
                self._answer(bytes(buffer[self._head :]))
            return
        if self.sink is not None:
            self.sink(data)
            del buffer[self._head : -64]
        if buffer.endswith(END):
            body = bytes(buffer[self._head :])
            self._answer(body if self.sink is not None else dechunk(body))

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        self._status = int(head[9:12])
        self._head = end + 4
        at = head.find(b"\r\ncontent-length:")
        self._need = 0 if at < 0 else self._head + int(head[at + 17 :].split(b"\r\n", 1)[0])
        return True

    def _answer(self, body: bytes) -> None:
        if not self._answered.done():
            self._answered.set_result(Answer(self._status, body))


def dechunk(body: bytes) -> bytes:
    """Return the content of a complete chunked body."""
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + size + 4


async def connect(port: int) -> Connection:
    """Open a connection to a server on this machine."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a client's coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
