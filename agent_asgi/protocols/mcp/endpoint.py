"""The endpoint of MCP: one stateless server of the official SDK, with this app's limits."""

import contextlib
import importlib.metadata
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
)
from starlette.types import Message

from ...errors import AgentError, InvalidJson, Unavailable
from ...http.endpoint import Endpoint as HttpEndpoint
from ...http.endpoint import HttpRequest
from ...runs.run import Run
from ...runtime import AppConfig
from ...schema import codec
from .call import Call
from .openapi import Message as Envelope
from .tools import check_name, tool_of

if TYPE_CHECKING:
    from .protocol import MCP

Context = Any
"""The SDK's context of a request; its types change between versions."""
_envelopes = msgspec.json.Decoder(Envelope)
EXCHANGE = "agent_asgi.mcp"
"""The key of the ASGI scope under which a handler finds its exchange."""


class Exchange:
    """One request, and the run that it starts.

    Args:
        request: The request, whose body has been read.
    """

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self._run: Run | None = None
        self._is_read = self._has_left = False

    def start(self, run: Run) -> None:
        """Note the run of the request.

        Raises:
            AgentError: The client has disconnected.
        """
        if self._has_left:
            raise AgentError("The client has disconnected.", 503, "cancelled")
        self._run = run

    async def receive(self) -> Message:
        """Return the body, then what the server reports; a disconnect cancels the run."""
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self.request.body, "more_body": False}
        message = await self.request.receive()
        if message["type"] == "http.disconnect":
            self._has_left = True
            if self._run is not None:
                self._run.cancel("client_disconnected")
        return message


class Endpoint(HttpEndpoint):
    """Serves MCP.

    Args:
        config: The app's settings.
        protocol: The protocol.
    """

    router = None

    def __init__(self, config: AppConfig, protocol: "MCP") -> None:
        super().__init__(config.limits, config.timeouts)
        self._config = config
        self._protocol = protocol
        self._manager: StreamableHTTPSessionManager | None = None
        for router in config.routers:
            check_name(router)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the server until the block ends; a server can run only once."""
        tools = [tool_of(router) for router in self._config.routers]
        self._tools = ListToolsResult(tools=tools, ttl_ms=0, cache_scope="private")
        manager = StreamableHTTPSessionManager(
            app=self._server(),
            stateless=True,
            max_request_body_size=self._limits.max_body_bytes,
        )
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                if self._manager is manager:  # the app has not started again
                    self._manager = None

    def _server(self) -> Server[Any]:
        routers = self._config.routers
        about = "\n".join(
            f"{each.name}: {each.description}" for each in routers if each.description
        )
        server: Server[Any] = Server(
            routers[0].name if len(routers) == 1 else "agents",
            version=_version(),
            instructions=about or None,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        server.middleware.clear()  # the run has a trace of its own
        return server

    async def answer(self, request: HttpRequest) -> None:
        await self._config.running()
        codec.strict(_envelopes, request.body)  # the SDK would answer with pydantic's words
        if self._manager is None:
            raise Unavailable("The server is shutting down.")
        exchange = Exchange(request)
        scope = {**request.scope, EXCHANGE: exchange, "headers": _headers(request)}
        await self._manager.handle_request(scope, exchange.receive, request.send)

    def error_body(self, error: AgentError, body: bytes) -> bytes:
        return codec.encode(
            {
                "jsonrpc": "2.0",
                "id": None,
                "error": {
                    "code": PARSE_ERROR if isinstance(error, InvalidJson) else INVALID_REQUEST,
                    "message": error.message,
                    "data": error.payload(),
                },
            }
        )

    async def _list_tools(self, context: Context, params: Any) -> ListToolsResult:
        return self._tools

    async def _call_tool(
        self, context: Context, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        exchange: Exchange = context.request.scope[EXCHANGE]
        call = Call(self._config, self._protocol, exchange, context, params)
        return await call.result()


def _headers(request: HttpRequest) -> list[tuple[bytes, bytes]]:
    """Return the request's headers with what the SDK insists on.

    Without an `accept` it accepts anything (RFC 9110, 12.5.1), and the body is JSON whatever its
    type says, as at the app's other paths: forms of other origins have been refused.
    """
    pairs = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
    if not request.headers.first(b"accept"):
        pairs.append((b"accept", b"*/*"))
    return [*pairs, (b"content-type", b"application/json")]


def _version() -> str:
    try:
        return importlib.metadata.version("agent-asgi")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
