"""Responses: JSON, pages, errors and refusals."""

import logging
import re
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..errors import AgentError
from ..schema import codec

logger = logging.getLogger("agent_asgi")

REFUSED = "agent_asgi.refused"
"""The key of an ASGI start or close message under which the app finds the code of a refusal, to
count it; None if nothing was refused. The app removes it."""
POLICY_VIOLATION = 1008
"""The code that a refused WebSocket is closed with (RFC 6455, 7.4.1)."""


class ErrorResponse(Response):
    """A JSON response of 4xx or 5xx, over HTTP or to a WebSocket's handshake.

    Args:
        body: The JSON.
        status: The HTTP status.
        headers: The headers.
        refused: The code of the refusal, which is counted; None if nothing was refused.
    """

    def __init__(
        self, body: bytes, status: int, headers: Mapping[str, str], *, refused: str | None
    ) -> None:
        super().__init__(body, status, headers, media_type="application/json")
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""

        async def mark(message: Message) -> None:
            if message["type"].endswith("http.response.start"):  # a WebSocket's has a prefix
                message[REFUSED] = self._refused
            await send(message)

        await super().__call__(scope, receive, mark)


def json_response(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with a body of encoded JSON."""
    return Response(body, status, headers, media_type="application/json")


def page_headers(policy: str) -> dict[str, str]:
    """Return the headers that isolate a page and its files in a browser.

    Args:
        policy: The content security policy.
    """
    return {
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def error_response(
    error: AgentError, *, started: bool = False, body: bytes | None = None
) -> Response:
    """Return the response to an error.

    Args:
        error: The error.
        started: Whether a handler has started. Then `x-should-retry` prevents that the OpenAI
            client repeats the request, as it does for most statuses. Default False.
        body: The error in the protocol's form. Default: as in OpenAI's APIs.
    """
    headers = {name: value for name, value in error.headers.items() if _is_header(name, value)}
    if started:
        headers.setdefault("x-should-retry", "false")
    body = codec.encode({"error": error.payload()}) if body is None else body
    return ErrorResponse(body, error.status, headers, refused=None if started else error.code)


def _is_header(name: str, value: str) -> bool:
    valid = _NAME.fullmatch(name) and _VALUE.fullmatch(value)
    if valid and name.lower() not in ("content-length", "transfer-encoding"):
        return True
    logger.error("The header %r of an error is not sent: it is invalid or reserved.", name)
    return False


_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""RFC 9110, 5.5; a line feed would begin another header."""


async def deny(error: AgentError, code: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a WebSocket's handshake with an error, or close it if the server cannot do that.

    Args:
        error: The error.
        code: The code of the close.
        scope: The ASGI scope.
        receive: The ASGI callable.
        send: The ASGI callable.
    """
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await error_response(error)(scope, receive, send)
    else:
        close = {"type": "websocket.close", "code": code, "reason": error.message}
        await send({**close, REFUSED: error.code})


async def refuse(error: AgentError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request or a WebSocket's handshake with an error, without reading a body."""
    if scope["type"] == "websocket":
        await receive()
        await deny(error, POLICY_VIOLATION, scope, receive, send)
    else:
        await error_response(error)(scope, receive, send)
