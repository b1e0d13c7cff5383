"""Endpoints of the run that is active in a chat: follow it from its start, stop it."""

from contextlib import nullcontext

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...agents.router import AgentRouter
from ...context import Headers
from ...errors import AgentError
from ...http.endpoint import HttpRequest, owner_of
from ...http.responses import error_response
from ...runtime import AppConfig, Runtime
from ...schema.decode import decode_stored
from ...store.base import Record
from ..base import Protocol
from ..cancel import cancelled
from ..detached import Detached

UNGUESSABLE = 16
"""How many characters the id of a chat has at least that identifies its user."""


class ChatEndpoint:
    """An endpoint of the run that is active in a chat; 204 if there is none.

    A chat belongs to the authenticated user; without users, to whoever knows its id.

    Args:
        protocol: The protocol.
        config: The app's settings.
        router: The agent whose runs it serves; None for all agents.
    """

    counted = True
    """Whether the request counts as a stream."""

    def __init__(self, protocol: Protocol, config: AppConfig, router: AgentRouter | None) -> None:
        self.router = router
        self._protocol = protocol
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            runtime = await self._config.running()
            with runtime.engine.streams if self.counted else nullcontext():
                record = await self._active(runtime, scope)
                request = HttpRequest(scope, receive, send, Headers(scope["headers"]), b"")
                response = Response(status_code=204)
                if record is not None:
                    response = await self.answer(runtime, request, record)
                await response(scope, receive, send)
        except AgentError as error:
            body = self._protocol.error(error, b"")
            await error_response(error, body=body)(scope, receive, send)

    async def _active(self, runtime: Runtime, scope: Scope) -> Record | None:
        chat, owner = scope["path_params"]["id"], owner_of(scope)
        if len(chat) < UNGUESSABLE and not runtime.engine.knows_user(owner):
            return None
        id_ = await runtime.store.locked_by(chat, owner)
        record = None if id_ is None else await runtime.store.get(id_, owner)
        if record is None or not (record.active and record.logged and record.visible):
            return None
        agents = self._config.routers if self.router is None else [self.router]
        return record if record.agent in {agent.name for agent in agents} else None

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        """Return the answer about the active run."""
        raise NotImplementedError


class ResumeChat(ChatEndpoint):
    """`GET /api/chat/{id}/stream`: the stream of the active run, from its start."""

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        detached = Detached(runtime, self._protocol, request, counted=True)
        return detached.stream(record, -1, decode_stored(record.request))


class StopChat(ChatEndpoint):
    """`POST /api/chat/{id}/stop`: cancel the active run."""

    counted = False

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        await cancelled(runtime, record)
        return Response(status_code=204)


class NothingToResume(ChatEndpoint):
    """`GET /api/chat/{id}/stream` of an app whose runs end with their requests: 204."""

    counted = False

    async def _active(self, runtime: Runtime, scope: Scope) -> Record | None:
        return None
