"""Endpoints of the run that is active in a chat: follow it from its start, stop it."""

from starlette.responses import Response
from starlette.types import Scope

from ...http.endpoint import HttpRequest, owner_of
from ...runtime import Runtime
from ...schema.decode import decode_stored
from ...store.base import Record
from ..cancel import cancelled
from ..detached import Detached
from ..retrieve import StoredEndpoint

UNGUESSABLE = 16
"""How many characters the id of a chat has at least that identifies its user."""


class ChatEndpoint(StoredEndpoint):
    """An endpoint of the run that is active in a chat; 204 if there is none.

    A chat belongs to the authenticated user; without users, to whoever knows its id.

    Args:
        protocol: The protocol.
        config: The app's settings.
        router: The agent whose runs it serves; None for all agents.
    """

    async def _response(self, runtime: Runtime, request: HttpRequest) -> Response:
        record = await self._active(runtime, request.scope)
        if record is None:
            return Response(status_code=204)
        return await self.answer(runtime, request, record)

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
