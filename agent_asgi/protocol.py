"""uvicorn's HTTP protocol with a request's head bounded in size and time."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 << 10
"""Bytes of a head, request line and headers; h11 allows as many. uvicorn keeps any, and joins one
long header anew with each part that comes."""
HEAD_SECONDS = 30.0
"""How long a head may take to arrive, from when the connection is opened or the head begins."""
LARGE = b"431 Request Header Fields Too Large"
LATE = b"408 Request Timeout"


class HttpProtocol(HttpToolsProtocol):
    """What `agent-asgi serve` speaks; elsewhere: `uvicorn --http agent_asgi.protocol:HttpProtocol`.

    A head that is larger than `MAX_HEAD` is a 431, one that takes longer than `HEAD_SECONDS` a 408.
    Trailers count as a head does; what still comes of a request that has been answered, and blank
    lines before the next, take from the time of the next head.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._size = 0  # bytes since the parser last had a whole head, a part of a body, or its end
        self._late: asyncio.TimerHandle | None = None

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override]  # as uvicorn has it
    ) -> None:
        """Wait for the first head."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS, self._refuse, LATE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for no head."""
        self._has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; wait for the next head where they are not for a request at work."""
        self._size += len(data)
        super().data_received(data)
        if self._size > MAX_HEAD:
            self._refuse(LARGE)
        elif self._late is None and not self._at_work() and self.transport.get_protocol() is self:
            self._late = self.loop.call_later(HEAD_SECONDS, self._refuse, LATE)

    def on_headers_complete(self) -> None:
        """Take in a whole head."""
        self._has_come()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body, which the app bounds."""
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take in the end of a request, and of its trailers."""
        self._size = 0
        super().on_message_complete()

    def _at_work(self) -> bool:
        """Tell whether the last head is whole, and its request not yet answered."""
        cycle = self.cycle  # none before a WebSocket's head
        return cycle is not None and not cycle.response_complete and "method" in self.scope

    def _has_come(self) -> None:
        self._size = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: bytes) -> None:
        self._has_come()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # else it would be within an answer
            self.transport.write(
                b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
            )
        self.transport.close()
