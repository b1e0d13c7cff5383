"""uvicorn's HTTP protocol with bounds on the size and the duration of a request's head."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .shutdown import leaving

MAX_HEAD = 64 << 10
"""Bytes of a request's head, as in h11. uvicorn has no bound."""
HEAD_SECONDS = 30.0
"""How long a head may take to arrive, from the opening of the connection or its first byte."""
LARGE = b"431 Request Header Fields Too Large"
LATE = b"408 Request Timeout"


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 with bounded heads, as `agent-asgi serve` uses it.

    With uvicorn's own command line: `--http agent_asgi.server.http_protocol:HttpProtocol`.
    A head larger than `MAX_HEAD` is answered with 431, one slower than `HEAD_SECONDS` with 408.
    Trailers count as a head. The rest of an answered request, and blank lines before the next
    one, count towards the next head's time.

    While the process ends, each answer closes its connection, so that the next request of a client
    that keeps connections open goes through the load balancer to another server.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._size = 0  # bytes since the last whole head, part of a body or end of a request
        self._late: asyncio.TimerHandle | None = None

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override]  # as uvicorn has it
    ) -> None:
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS, self._refuse, LATE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reset()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        super().data_received(data)
        if self._size > MAX_HEAD:
            self._refuse(LARGE)
        elif self._late is None and not self._answering() and self.transport.get_protocol() is self:
            self._late = self.loop.call_later(HEAD_SECONDS, self._refuse, LATE)

    def on_headers_complete(self) -> None:
        self._reset()
        super().on_headers_complete()
        if self.cycle is not None and leaving():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._size = 0  # the app bounds bodies
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._size = 0
        super().on_message_complete()

    def _answering(self) -> bool:
        """Return whether the last head is whole and its request not answered yet."""
        cycle = self.cycle  # none before a WebSocket's head
        return cycle is not None and not cycle.response_complete and "method" in self.scope

    def _reset(self) -> None:
        self._size = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: bytes) -> None:
        self._reset()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # not in the middle of an answer
            self.transport.write(
                b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
            )
        self.transport.close()
