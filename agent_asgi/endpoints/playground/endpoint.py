"""The playground: one page to talk to the agents, with its scripts and its style."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field
from starlette.requests import Request
from starlette.responses import Response

from ...agents.router import AgentRouter
from ...errors import AgentError, NotFound
from ...http.endpoint import owner_of
from ...http.responses import error_response, json_response, page_headers
from ...runtime import AppConfig, Runtime
from ...schema import codec
from ...schema.own_calls import HIDDEN
from ...store.base import Record
from ...tracing.reader import TraceTree

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: https:; media-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's content security policy: its own files only, nothing inline. An image from elsewhere
is loaded when the user asks for it."""


class Playground:
    """The page, its files and its settings.

    Args:
        config: The app.
    """

    def __init__(self, config: AppConfig) -> None:
        self._config = config

    async def playground(self, _: Request) -> Response:
        """Return the page."""
        return _file("index.html")

    async def playground_file(self, request: Request) -> Response:
        """Return a script or a style of the page."""
        return _file(request.path_params["file"])

    async def playground_settings(self, request: Request) -> Response:
        """Return the agents, what the page may list and show, and the command for the traces."""
        try:
            runtime = await self._config.running()
        except AgentError as error:
            return error_response(error)
        agents = [
            {
                "name": router.name,
                "description": router.description,
                "examples": router.examples,
                "traces": runtime.tracer.page(router.experiment),
            }
            for router in self._config.routers
            if router.protocol == "responses"
        ]
        lists = runtime.engine.knows_user(owner_of(request.scope))
        viewer = runtime.tracer.viewer() if self._config.debug else None
        body = {"agents": agents, "lists": lists, "debug": self._config.debug, "viewer": viewer}
        return json_response(codec.encode(body))

    async def playground_trace(self, request: Request) -> Response:
        """Return the trace of a response of the user's own, with `debug=True`."""
        try:
            trace = await self._trace(request)
        except AgentError as error:
            return error_response(error)
        return json_response(codec.encode(trace))

    async def _trace(self, request: Request) -> TraceTree:
        """Return the trace of the response that a request names.

        Raises:
            NotFound: The user has no such response, it has no trace, or `debug` is off.
            Unavailable: The store or MLflow does not answer.
        """
        id_ = request.path_params["id"]
        runtime = await self._config.running()
        record = await runtime.store.get(id_, owner_of(request.scope))
        router = None if record is None else self._config.by_name(record.agent)
        if record is None or router is None or not record.visible:
            raise NotFound(f"There is no response {id_!r}.", "response_not_found")
        trace = await self._read(runtime, record, router) if self._config.debug else None
        if trace is None:
            raise NotFound(f"The response {id_!r} has no trace to show.", "trace_not_found")
        return trace

    async def _read(
        self, runtime: Runtime, record: Record, router: AgentRouter
    ) -> TraceTree | None:
        hidden = None
        if router.own_tools == "hidden":
            output = _outputs.decode(record.response).output
            hidden = {call.name for call in output if call.hidden and isinstance(call.name, str)}
        return await runtime.tracer.read(record.id, router.experiment, hidden)


class _Call(Struct):
    """An item of the output that may be a hidden call."""

    name: Any = None
    hidden: Any = field(default=None, name=HIDDEN)


class _Output(Struct):
    """A stored response."""

    output: list[_Call]


_outputs = msgspec.json.Decoder(_Output)


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    paths = [path for path in Path(__file__).parent.iterdir() if path.suffix in TYPES]
    return {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in paths}


def _file(name: str) -> Response:
    if name not in _files():
        return error_response(NotFound(f"There is no file {name!r}.", "not_found"))
    content, media_type = _files()[name]
    headers = page_headers(POLICY) | {"cache-control": "no-cache"}
    return Response(content, media_type=media_type, headers=headers)
