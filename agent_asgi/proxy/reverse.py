"""`ReverseProxy`: requests go on to another server, answers come back, both as they are."""

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

from ..access import refuse
from ..body import ClientGone
from ..errors import AgentError, InvalidRequest, NotFound
from .headers import handshake_headers, request_headers, response_headers
from .paths import Paths, path_below
from .websocket import GOING_AWAY, Connect, pass_refusal, relay, text_of

logger = logging.getLogger("agent_asgi")

LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
"""As many connections as clients ask for, each for one request: what a server sends beyond the end
of its answer, httpcore2 would take for the answer to the connection's next request."""
CLOSE_SECONDS = 2.0
"""How long the other server may take to answer that a WebSocket is closed."""
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class ReverseProxy:
    """An ASGI app that passes HTTP requests and WebSockets on to another server.

    `AgentApp(router, fallback=ReverseProxy("http://localhost:3000"))` has a front end answer what
    is no endpoint; it may also be mounted in Starlette or FastAPI.

    Args:
        url: The other server, such as Vite or a Node app. A path in it goes before that of each
            request.
        paths: What is passed on, as exact paths, or beginnings that end with `*`; anything else is
            a 404. Default `("/*",)`: everything.
        timeout: How many seconds the other server may take to accept a part of a request's body,
            and to begin its answer. What has begun may take any time. Default 60.

    Raises:
        ValueError: `url` is no URL of http or https, or says more than host, port and path; a path
            does not begin with a slash, or has a `*` before its end.
    """

    def __init__(self, url: str, *, paths: Sequence[str] = ("/*",), timeout: float = 60.0) -> None:
        self._url = _checked(url)
        self._base = self._url.raw_path.decode("ascii").rstrip("/")
        self._paths = Paths(paths)
        self._timeout = timeout
        # below httpx2's client: no cookie jar, no redirects, no proxies, no headers of its own
        self._tls = httpx2.create_ssl_context()
        self._transport = httpx2.AsyncHTTPTransport(
            verify=self._tls, trust_env=False, limits=LIMITS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or WebSocket.

        Raises:
            ConnectionError: The other server broke off; raised through to the server in front, it
                breaks the client's connection off, which would else pass for whole.
        """
        if scope["type"] == "lifespan":
            raise NotImplementedError("ReverseProxy is no app of its own: its host has a lifespan.")
        serve = self._websocket if scope["type"] == "websocket" else self._http
        try:
            await serve(self._target(scope), scope, receive, send)
        except AgentError as error:  # there is no answer yet
            await refuse(error, scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """Close the connections at the end. `AgentApp` enters it; so may another host:
        `Starlette(routes=[Mount("/", proxy)], lifespan=proxy.lifespan)`.
        """
        try:
            yield
        finally:
            await self._transport.aclose()

    def _target(self, scope: Scope) -> str:
        """Give path and query for the other server, encoded as they came."""
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
        """Give the answer to a request, once it has begun.

        Raises:
            AgentError: There is none.
            ClientGone: The client left before its request had arrived whole.
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
            raise InvalidRequest("HTTP does not carry such a request.") from error
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
            AgentError: It does not open.
            InvalidStatus: The other server refuses it.
        """
        headers = [
            (name.decode("latin-1"), text_of(value))
            for name, value in handshake_headers(request_headers(scope))
        ]
        host = dict(headers).get("host", self._url.netloc.decode("ascii"))
        if not _HOST.fullmatch(host):
            raise InvalidRequest("The header `host` names no host.", "host")
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
                ping_interval=None,  # a client that reads slowly would hold up the pongs
                max_size=None,
            )
        except InvalidStatus:
            raise
        except TimeoutError as error:
            raise self._late() from error
        except (InvalidURI, ValueError) as error:  # a port or an address that there cannot be
            raise InvalidRequest("HTTP does not carry such a request.") from error
        except (OSError, InvalidHandshake) as error:
            raise self._failed(error) from error

    def _late(self) -> AgentError:
        logger.warning("%s did not answer within %g s.", self._url, self._timeout)
        return AgentError("The front end did not answer in time.", 504, "gateway_timeout")

    def _failed(self, error: Exception) -> AgentError:
        logger.warning("%s did not answer: %s", self._url, error or type(error).__name__)
        return AgentError("The front end does not answer.", 502, "bad_gateway")

    def _broken(self, error: Exception) -> ConnectionError:
        return ConnectionError(f"{self._url} broke off: {error or type(error).__name__}")


class _Upload:
    """A request's body on its way.

    Args:
        receive: The ASGI callable.
        timeout: How long the other server may take to accept a part.
    """

    def __init__(self, receive: Receive, timeout: float) -> None:
        self.receive = receive
        self.ended = asyncio.Event()
        """Set once no more of the body is taken."""
        self.clock = asyncio.timeout(None)
        """What runs while the other server is at its turn, and not while the client is."""
        self._timeout = timeout

    async def content(self) -> bytes | AsyncIterator[bytes]:
        """Give the body whole where it is there, else part by part.

        Raises:
            ClientGone: The client left.
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
    """Cancel what goes on, should the client leave once its request has been taken."""
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


def _checked(url: str) -> httpx2.URL:
    try:
        found = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"ReverseProxy: {url!r} is no URL.") from error
    more = found.userinfo or found.query or found.fragment
    if found.scheme not in ("http", "https") or not found.host or more:
        raise ValueError(f"ReverseProxy: {url!r} is not such as 'http://localhost:3000'.")
    return found
