"""Endpoints of stored responses: fetch one, or follow its events, in any protocol."""

from contextlib import nullcontext

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..agents.router import AgentRouter
from ..context import Headers
from ..errors import AgentError, NotFound
from ..events.replay import replay
from ..http.endpoint import HttpRequest, owner_of
from ..http.query import Query
from ..http.responses import error_response, json_response
from ..http.sse import STREAM_HEADERS
from ..runtime import AppConfig, Runtime
from ..schema import codec
from ..schema.decode import decode_stored
from ..schema.own_calls import MARK
from ..store.base import Record
from .base import Protocol
from .detached import Detached, response_of

LAST_EVENT = (1 << 31) - 1
"""The largest `sequence_number` that a store can hold."""


class StoredEndpoint:
    """An endpoint of one stored response.

    It counts as a stream until the client has read the answer, unless `counted` is False.

    Args:
        protocol: The protocol of the client.
        config: The app's settings.
        router: The agent whose responses it serves; None for all agents.
    """

    counted = True

    def __init__(self, protocol: Protocol, config: AppConfig, router: AgentRouter | None) -> None:
        self.router = router
        self._protocol = protocol
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            runtime = await self._config.running()
            with runtime.engine.streams if self.counted else nullcontext():
                request = HttpRequest(scope, receive, send, Headers(scope["headers"]), b"")
                response = await self._response(runtime, request)
                await response(scope, receive, send)
        except AgentError as error:
            body = self._protocol.error(error, b"")
            await error_response(error, body=body)(scope, receive, send)

    async def _response(self, runtime: Runtime, request: HttpRequest) -> Response:
        return await self.answer(runtime, request, await self._find(runtime, request.scope))

    async def _find(self, runtime: Runtime, scope: Scope) -> Record:
        id_ = scope["path_params"]["id"]
        record = await runtime.store.get(id_, owner_of(scope))
        agents = self._config.routers if self.router is None else [self.router]
        ours = record is not None and record.agent in {agent.name for agent in agents}
        if record is None or not ours or not record.visible:
            raise NotFound(f"There is no response {id_!r}.", "response_not_found")
        return record

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        """Return the answer about a stored response.

        Raises:
            AgentError: The request is invalid.
        """
        raise NotImplementedError


class Retrieve(StoredEndpoint):
    """`GET .../{id}`: the response, or with `stream=true` its events after `starting_after`."""

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        query = Query(request.scope)
        after = query.number("starting_after", -1, 0, LAST_EVENT)
        decoded = decode_stored(record.request)
        view = self._protocol.own_tools
        response = response_of(record, view)
        encoder = self._protocol.encoder(decoded, response)
        if not query.flag("stream"):
            return json_response(encoder.body(None))
        if record.logged:
            detached = Detached(runtime, self._protocol, request, counted=True)
            return detached.stream(record, after, decoded)
        final = codec.encode(response) if MARK in record.response else record.response
        frames = bytes(replay(record.response, final, encoder, view, after)) + encoder.end()
        body = codec.on_one_line(frames)
        more = {name.decode(): value.decode() for name, value in self._protocol.headers}
        return Response(body, media_type="text/event-stream", headers=STREAM_HEADERS | more)
