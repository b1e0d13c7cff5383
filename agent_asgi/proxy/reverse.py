"""`ReverseProxy`: passes requests on to another server, and its answers back, unchanged."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from ..errors import AgentError, InvalidRequest, NotFound
from ..http.body import ClientGone
from ..http.responses import refuse
from .headers import handshake_headers, request_headers, response_headers
from .paths import Paths, path_below
from .websocket import GOING_AWAY, Connect, pass_refusal, relay, text_of

logger = logging.getLogger("agent_asgi")

LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
"""One connection for each request: if a server sends more than its answer, httpcore2 would take the
rest for the answer to the next request."""
CLOSE_SECONDS = 2.0
"""How long the other server may take to confirm that a WebSocket is closed."""
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class ReverseProxy:
    """An ASGI app that passes HTTP requests and WebSockets on to another server.

    `AgentApp(router, fallback=ReverseProxy("http://localhost:3000"))` serves a front end on all
    paths that are no endpoints. It may also be mounted in Starlette or FastAPI.

    Args:
        url: The other server, such as Vite or a Node app. A path in it is put before the path of
            each request.
        paths: The paths to pass on: exact paths, or prefixes that end with `*`. Others are
            answered with 404. Default `("/*",)`: everything.
        timeout: How many seconds the other server may take to accept a part of a request's body,
            and to begin its answer. The rest of the answer has no time limit. Default 60.

    Raises:
        ValueError: `url` is not an http or https URL, or has more than host, port and path; or a
            path does not begin with a slash, or has a `*` before its end.
    """

    def __init__(self, url: str, *, paths: Sequence[str] = ("/*",), timeout: float = 60.0) -> None:
        self._url = _parsed(url)
        self._base = self._url.raw_path.decode("ascii").rstrip("/")
        self._paths = Paths(paths)
        self._timeout = timeout
        # the transport, not a client, which would add cookies, redirects, proxies and headers
        self._tls = httpx2.create_ssl_context()
        self._transport = httpx2.AsyncHTTPTransport(
            verify=self._tls, trust_env=False, limits=LIMITS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or WebSocket.

        Raises:
            ConnectionError: The other server broke off. Raised so that the client's connection is
                broken off too, and the answer not taken for complete.
        """
        if scope["type"] == "lifespan":
            raise NotImplementedError("ReverseProxy must be mounted in an app with a lifespan.")
        serve = self._websocket if scope["type"] == "websocket" else self._http
        try:
            await serve(self._target(scope), scope, receive, send)
        except AgentError as error:  # there is no answer yet
            await refuse(error, scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """Close the connections at the end.

        `AgentApp` enters it. For other hosts:
        `Starlette(routes=[Mount("/", proxy)], lifespan=proxy.lifespan)`.
        """
        try:
            yield
        finally:
            await self._transport.aclose()

    def _target(self, scope: Scope) -> str:
        """Return path and query for the other server, encoded as received."""
        path, query = path_below(scope), scope["query_string"].decode("latin-1")
        if not self._paths.allow(path):
            raise NotFound("There is no such path.", "not_found")
        return f"{self._base}{path}?{query}" if query else self._base + path

    async def _http(self, target: str, scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope() as exchange:
            upload = _Upload(receive, self._timeout)
            watch = asyncio.create_task(_watch(upload, exchange))
            try:
                response = await self._response(target, scope, upload)
                try:
                    await _pass_back(response, send)
                finally:
                    await response.aclose()
            except ClientGone:
                return
            except httpx2.TransportError as error:
                raise self._broken(error) from None
            finally:
                watch.cancel()

    async def _response(self, target: str, scope: Scope, upload: "_Upload") -> httpx2.Response:
        """Return the answer to a request once it has begun.

        Raises:
            AgentError: There is no answer.
            ClientGone: The client disconnected before its request was complete.
        """
        try:
            async with upload.clock:
                request = httpx2.Request(
                    scope["method"],
                    self._url,
                    headers=request_headers(scope),
                    content=await upload.content(),
                    extensions={"target": target.encode("latin-1")},
                )
                return await self._transport.handle_async_request(request)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise self._late() from error
        except httpx2.LocalProtocolError as error:
            raise InvalidRequest("The request is not valid HTTP.") from error
        except httpx2.TransportError as error:
            raise self._failed(error) from error

    async def _websocket(self, target: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            upstream = await self._open(target, scope)
        except InvalidStatus as refusal:
            await pass_refusal(refusal, scope, receive, send)
        else:
            try:
                await relay(upstream, receive, send)
            except ConnectionClosed as error:
                raise self._broken(error) from None
            finally:
                await upstream.close(GOING_AWAY)

    async def _open(self, target: str, scope: Scope) -> ClientConnection:
        """Open a WebSocket to the other server.

        Raises:
            AgentError: The connection fails.
            InvalidStatus: The other server refuses the WebSocket.
        """
        headers = [
            (name.decode("latin-1"), text_of(value))
            for name, value in handshake_headers(request_headers(scope))
        ]
        host = dict(headers).get("host", self._url.netloc.decode("ascii"))
        if not _HOST.fullmatch(host):
            raise InvalidRequest("The `host` header is not a valid host.", "host")
        secure = self._url.scheme == "https"
        try:
            return await Connect(
                f"{'wss' if secure else 'ws'}://{host}{target}",  # `host` becomes the header
                host=self._url.host,
                port=self._url.port or (443 if secure else 80),
                ssl=self._tls if secure else None,
                server_hostname=self._url.host if secure else None,
                additional_headers=[each for each in headers if each[0] != "host"],
                user_agent_header=None,
                subprotocols=[Subprotocol(each) for each in scope.get("subprotocols", ())] or None,
                proxy=None,
                open_timeout=self._timeout,
                close_timeout=CLOSE_SECONDS,
                ping_interval=None,  # a slow client would delay the pongs
                max_size=None,
            )
        except InvalidStatus:
            raise
        except TimeoutError as error:
            raise self._late() from error
        except (InvalidURI, ValueError) as error:  # for example an impossible port
            raise InvalidRequest("The request is not valid HTTP.") from error
        except (OSError, InvalidHandshake) as error:
            raise self._failed(error) from error

    def _late(self) -> AgentError:
        logger.warning("%s did not answer within %g s. Answering 504.", self._url, self._timeout)
        return AgentError("The front end did not answer in time.", 504, "gateway_timeout")

    def _failed(self, error: Exception) -> AgentError:
        reason = error or type(error).__name__
        logger.warning("%s is not available: %s. Answering 502.", self._url, reason)
        return AgentError("The front end does not answer.", 502, "bad_gateway")

    def _broken(self, error: Exception) -> ConnectionError:
        return ConnectionError(f"{self._url} broke off: {error or type(error).__name__}")


class _Upload:
    """A request's body in transit.

    Args:
        receive: The ASGI callable.
        timeout: How many seconds the other server may take to accept a part.
    """

    def __init__(self, receive: Receive, timeout: float) -> None:
        self.receive = receive
        self.ended = asyncio.Event()
        """Set once no more of the body is read."""
        self.clock = asyncio.timeout(None)
        """Runs while the other server is awaited, and not while the client is."""
        self._timeout = timeout

    async def content(self) -> bytes | AsyncIterator[bytes]:
        """Return the body: whole if it has arrived, else part by part.

        Raises:
            ClientGone: The client disconnected.
        """
        first = await self._next()
        if first.get("more_body", False):
            return self._parts(first)
        self.ended.set()
        whole: bytes = first.get("body", b"")
        return whole

    async def _parts(self, message: Message) -> AsyncIterator[bytes]:
        try:
            while True:
                if part := message.get("body", b""):
                    yield part
                if not message.get("more_body", False):
                    return
                message = await self._next()
        finally:
            self.ended.set()

    async def _next(self) -> Message:
        self.clock.reschedule(None)
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.clock.reschedule(asyncio.get_running_loop().time() + self._timeout)
        return message


async def _watch(upload: _Upload, exchange: anyio.CancelScope) -> None:
    """Cancel the exchange if the client disconnects after its request."""
    await upload.ended.wait()
    while (await upload.receive())["type"] != "http.disconnect":
        pass
    exchange.cancel()


async def _pass_back(response: httpx2.Response, send: Send) -> None:
    status = response.status_code
    headers = response_headers(response.headers.raw, status)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    async for part in response.aiter_raw():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


def _parsed(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"ReverseProxy: {url!r} is not a URL.") from error
    extra = parsed.userinfo or parsed.query or parsed.fragment
    if parsed.scheme not in ("http", "https") or not parsed.host or extra:
        raise ValueError(f"ReverseProxy: {url!r} must be like 'http://localhost:3000'.")
    return parsed
