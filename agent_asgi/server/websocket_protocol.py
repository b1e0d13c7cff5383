"""uvicorn's WebSocket protocol with a bound on the pongs that a client leaves unread."""

from typing import Any

from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

from ..http.connection import reset

MAX_PONGS = 64 << 10
"""Bytes of pongs that may wait for a client; beyond it, the connection is reset."""

_Protocol: Any = AutoWebSocketsProtocol


class WebSocketProtocol(_Protocol):  # type: ignore[misc]  # uvicorn chooses the class
    """WebSockets with bounded pongs, as `agent-asgi serve` uses them.

    With uvicorn's own command line: `--ws agent_asgi.server.websocket_protocol:WebSocketProtocol`.
    uvicorn writes a pong for each ping, also if the client reads none.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pongs = 0  # bytes since the client had read everything

    def handle_ping(self, *args: Any) -> None:
        waiting = self.transport.get_write_buffer_size()
        if self.transport.is_closing():
            return
        super().handle_ping(*args)
        more = self.transport.get_write_buffer_size() - waiting
        self._pongs = more + (self._pongs if waiting else 0)
        if self._pongs > MAX_PONGS:
            reset(self.transport)
