"""Proxied WebSockets: messages in both directions."""

import asyncio
import contextlib
from typing import Any

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .headers import handshake_headers, response_headers

GOING_AWAY = 1001
NORMAL = 1000
UNSENT = frozenset({1005, 1006, 1015})
"""Codes that stand for a missing code and are never sent (RFC 6455, 7.4.1)."""


class Connect(connect):
    """websockets' `connect` without redirects."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def text_of(value: bytes) -> str:
    """Decode a header's value for websockets, which encodes it as UTF-8.

    Since version 16 it refuses characters above U+00FF; a value with one arrives encoded twice.
    """
    try:
        text = value.decode()
        text.encode("latin-1")
    except UnicodeError:
        return value.decode("latin-1")
    return text


async def relay(upstream: ClientConnection, receive: Receive, send: Send) -> None:
    """Accept a WebSocket, and pass messages on in both directions until either end closes.

    Args:
        upstream: The connection to the other server.
        receive: The ASGI callable.
        send: The ASGI callable.

    Raises:
        ConnectionClosed: The other server disconnected without a close frame; the client's
            connection must end in the same way.
    """
    await receive()  # "websocket.connect"
    subprotocol = upstream.subprotocol
    headers = handshake_headers(_answer_headers(upstream.response))
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
    upward = asyncio.create_task(_send_up(receive, upstream))
    try:
        while True:
            message = await upstream.recv()
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
    except ConnectionClosed as closed:
        if closed.sent is not None and not closed.rcvd_then_sent:
            return  # the client closed first
        if closed.rcvd is None:
            raise
        code = NORMAL if closed.rcvd.code in UNSENT else closed.rcvd.code
        await send({"type": "websocket.close", "code": code, "reason": closed.rcvd.reason})
    finally:
        upward.cancel()


async def _send_up(receive: Receive, upstream: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):  # handled by the other direction
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            await upstream.send(message["bytes"] if text is None else text)
        code = message.get("code", 1005)
        await upstream.close(GOING_AWAY if code in UNSENT else code, message.get("reason") or "")


async def pass_refusal(refusal: InvalidStatus, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a handshake as the other server did, or with 403 if this server cannot."""
    await receive()  # "websocket.connect"
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    response, start = refusal.response, "websocket.http.response.start"
    headers = [each for each in _answer_headers(response) if each[0] != b"content-length"]
    await send({"type": start, "status": response.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": bytes(response.body or b"")})


def _answer_headers(response: Any) -> list[tuple[bytes, bytes]]:
    raw = response.headers.raw_items()
    encoded = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in raw]
    return response_headers(encoded, response.status_code)
