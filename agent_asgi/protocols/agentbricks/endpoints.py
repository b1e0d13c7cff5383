"""The endpoints of invocations: start one, get its state, follow its events."""

from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.types import Scope

from ...agents.router import AgentRouter
from ...errors import AgentError, NotFound
from ...http.endpoint import Endpoint, HttpRequest, owner_of
from ...http.query import Query
from ...http.responses import json_response
from ...runtime import AppConfig, Runtime
from ...schema import codec
from ...schema.decode import decode_stored
from ...store.base import Record
from ..base import Protocol
from ..detached import Detached, Key, response_of
from ..endpoint import serve
from ..retrieve import LAST_EVENT, StoredEndpoint
from .encoder import InvocationEncoder
from .request import Invocation, convert, decode_invocation, stored
from .resume import answers_to

Json = dict[str, Any]


class Invocations(Endpoint):
    """`POST /api/invocations`: start an invocation, or join the earlier one with its id.

    Args:
        protocol: The protocol.
        config: The app's settings.
        router: The agent.
    """

    def __init__(self, protocol: Protocol, config: AppConfig, router: AgentRouter) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._protocol = protocol
        self._config = config

    async def answer(self, request: HttpRequest) -> None:
        runtime = await self._config.running()
        invocation = decode_invocation(request.body)
        router = self.router
        key = Key(key_of(router.name, invocation.id), f"{router.name}:{invocation.digest}")
        answers = await self._answers(runtime, invocation, key, owner_of(request.scope))
        decoded = convert(invocation, answers)
        if invocation.background:
            path = f"{request.scope['path'].rstrip('/')}/{invocation.id}"
            decoded.urls = {"status_url": path}
            if invocation.stream:
                decoded.urls["events_url"] = path + "/events"
                decoded.stream = False
        await serve(runtime, router, decoded, self._protocol, request, key)

    async def _answers(
        self, runtime: Runtime, invocation: Invocation, key: Key, owner: str
    ) -> list[Json]:
        """Return the items that answer an interrupt, unless the invocation is a repeated one."""
        if invocation.resume is None or await runtime.store.by_key(key.name, owner) is not None:
            return []
        return await answers_to(runtime, invocation, self.router.name, owner)

    def error_body(self, error: AgentError, body: bytes) -> bytes:
        return self._protocol.error(error, body)


class InvocationState(StoredEndpoint):
    """`GET /api/invocations/{id}`: the state of an invocation.

    Args:
        protocol: The protocol.
        config: The app's settings.
        router: The agent.
    """

    def __init__(self, protocol: Protocol, config: AppConfig, router: AgentRouter) -> None:
        super().__init__(protocol, config, router)
        self._agent = router.name

    async def _find(self, runtime: Runtime, scope: Scope) -> Record:
        id_, owner = _id(scope), owner_of(scope)
        record = await runtime.store.by_key(key_of(self._agent, id_), owner)
        if record is None:
            raise NotFound(f"There is no invocation {str(id_)!r}.", "invocation_not_found")
        return record

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        response = response_of(record, self._protocol.own_tools)
        encoder = InvocationEncoder(response, str(_id(request.scope)))
        return json_response(codec.encode(encoder.state()))


class InvocationEvents(InvocationState):
    """`GET /api/invocations/{id}/events`: the events of an invocation after a number."""

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        last = request.headers.first(b"last-event-id") or ""
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0
        after = Query(request.scope).number("after", after, 0, LAST_EVENT)
        decoded = stored(str(_id(request.scope)), decode_stored(record.request), after)
        detached = Detached(runtime, self._protocol, request, counted=True)
        return detached.stream(record, -1, decoded)


def key_of(agent: str, id: UUID) -> str:
    """Return the idempotency key of an invocation; no header of a client can hold a line feed."""
    return f"\nagentbricks:{agent}:{id}"


def _id(scope: Scope) -> UUID:
    """Return the id in a request's path.

    Raises:
        NotFound: It is no UUID.
    """
    text = scope["path_params"]["id"]
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no invocation {text!r}.", "invocation_not_found") from None
