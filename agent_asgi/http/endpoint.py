"""`Endpoint`: reads a request's body within its limits, and answers errors."""

from codecs import BOM_UTF8

from msgspec import Struct
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..config import Limits, Timeouts
from ..context import Headers
from ..errors import AgentError, EncodedBody, TooLarge
from .auth import identity_of
from .body import BodyTimeout, ClientGone, check_shape, discard, read_body
from .responses import error_response


class HttpRequest(Struct):
    """A request with its whole body."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Headers
    body: bytes


class Endpoint:
    """An ASGI app that reads a request's body and answers the request.

    Args:
        limits: Bounds on the body.
        timeouts: `body` bounds the time until the body has arrived.
    """

    def __init__(self, limits: Limits, timeouts: Timeouts) -> None:
        self._limits = limits
        self._timeouts = timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a request, and answer it."""
        headers = Headers(scope["headers"])
        body = b""
        try:
            declared = headers.first(b"content-length")
            body = await read_body(
                receive, self._limits.max_body_bytes, declared, self._timeouts.body
            )
            encoding = headers.first(b"content-encoding")
            if encoding and encoding.lower() != "identity":
                raise EncodedBody(encoding)
            body = body.removeprefix(BOM_UTF8)
            check_shape(body, self._limits)
            await self.answer(HttpRequest(scope, receive, send, headers, body))
        except ClientGone:
            return
        except (TooLarge, BodyTimeout) as error:
            await _cut_off(self._response_to(error, b""), scope, receive, send)
        except AgentError as error:
            await self._response_to(error, body)(scope, receive, send)

    def _response_to(self, error: AgentError, body: bytes) -> Response:
        return error_response(error, body=self.error_body(error, body))

    async def answer(self, request: HttpRequest) -> None:
        """Answer a request.

        Raises:
            AgentError: The request is refused; no handler has started.
        """
        raise NotImplementedError

    def error_body(self, error: AgentError, body: bytes) -> bytes | None:
        """Return the body of the response to an error; None for the default form."""
        return None


async def _cut_off(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body has not arrived completely, and close its connection."""

    async def send_without_end(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["more_body"] = True
        await send(message)

    response.headers["connection"] = "close"
    await response(scope, receive, send_without_end)
    await discard(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def owner_of(scope: Scope) -> str:
    """Return the identity of the authenticated principal; empty if there is none."""
    user = scope.get("user")
    return "" if user is None else identity_of(user) or ""
