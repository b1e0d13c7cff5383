"""What can be done with a stored response: get it, delete it, cancel it, list its input."""

import asyncio

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .. import codec
from ..context import Headers
from ..conversation import input_items
from ..errors import AgentError, InvalidRequest, NotFound
from ..replay import replay
from ..router import AgentRouter
from ..service import Live, Service
from ..sse import DONE, STREAM_HEADERS, write_named
from ..store.base import Record
from .answers import error_response, json_response
from .base import Incoming, owner_of
from .detached import Detached, stored_body

CANCEL_SECONDS = 2.0
"""How long a cancellation is waited for before the answer goes out."""
PAGE = 20
MOST = 100
LAST_EVENT = (1 << 31) - 1
"""The largest `sequence_number` that a store has room for."""


class StoredEndpoint:
    """An ASGI app that answers about one stored response.

    Args:
        service: The app.
        router: The agent whose responses these are. Default None: any.
    """

    def __init__(self, service: Service, router: AgentRouter | None) -> None:
        self.service = service
        self.router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            live = await self.service.live()
            owner = owner_of(scope)
            id_ = scope["path_params"]["id"]
            record = await live.store.get(id_, owner)
            agents = self.service.routers if self.router is None else [self.router]
            ours = record is not None and record.agent in {each.name for each in agents}
            if record is None or not ours or not record.visible:
                raise NotFound(f"There is no response {id_!r}.", "response_not_found")
            incoming = Incoming(scope, receive, send, Headers(scope["headers"]), b"", live)
            response = await self.answer(incoming, record)
            await response(scope, receive, send)
        except AgentError as error:
            await error_response(error)(scope, receive, send)

    async def answer(self, incoming: Incoming, record: Record) -> Response:
        """Make the answer.

        Raises:
            AgentError: The request is at fault.
        """
        raise NotImplementedError


class Retrieve(StoredEndpoint):
    """`GET /responses/{id}`: the response, or its events from any one on."""

    async def answer(self, incoming: Incoming, record: Record) -> Response:
        """Make the answer."""
        query = Query(incoming.scope)
        after = query.number("starting_after", -1, 0, LAST_EVENT)
        if not query.flag("stream"):
            return _json(record)
        if record.logged:
            return Detached(self.service, incoming, named=True).stream(record, after)
        body = bytearray()
        for event in replay(record.response):
            if event.sequence_number > after:
                write_named(event, body)
        frames = codec.on_one_line(bytes(body)) + DONE
        return Response(frames, media_type="text/event-stream", headers=STREAM_HEADERS)


class Delete(StoredEndpoint):
    """`DELETE /responses/{id}`; a run that goes on is cancelled."""

    async def answer(self, incoming: Incoming, record: Record) -> Response:
        """Make the answer."""
        await incoming.live.store.delete(record.id, record.owner)
        incoming.live.executor.cancel(record.id, "client_cancelled")
        body = {"id": record.id, "object": "response.deleted", "deleted": True}
        return json_response(codec.encode(body))


class Cancel(StoredEndpoint):
    """`POST /responses/{id}/cancel`; one that has ended stays as it is."""

    async def answer(self, incoming: Incoming, record: Record) -> Response:
        """Make the answer."""
        if record.active:
            record = await cancelled(incoming.live, record)
        return _json(record)


class InputItems(StoredEndpoint):
    """`GET /responses/{id}/input_items`, page by page."""

    async def answer(self, incoming: Incoming, record: Record) -> Response:
        """Make the answer."""
        query = Query(incoming.scope)
        limit = query.number("limit", PAGE, 1, MOST)
        order = query.choice("order", ("desc", "asc"))
        after = query.get("after")
        items = input_items(record)
        if order == "desc":
            items.reverse()
        begin = 0
        if after is not None:
            ids = [each["id"] for each in items]
            if after not in ids:
                raise InvalidRequest(f"after: there is no item {after!r}.", "after")
            begin = ids.index(after) + 1
        page = items[begin : begin + limit]
        body = {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": begin + limit < len(items),
        }
        return json_response(codec.encode(body))


async def cancelled(live: Live, record: Record) -> Record:
    """Cancel a run wherever it is, and wait a moment for its end; give how it stands then."""
    with live.store.signals.watch(record.id) as watcher:
        await live.store.want_cancel(record.id, record.owner)
        if not live.executor.cancel(record.id, "client_cancelled"):
            live.executor.submit(record.id)  # claims it if nobody has it, and ends it
        loop = asyncio.get_running_loop()
        until = loop.time() + CANCEL_SECONDS
        while record.active and loop.time() < until:
            await watcher.wait(min(live.store.poll_seconds, CANCEL_SECONDS))
            found = await live.store.get(record.id, record.owner)
            if found is None:
                raise NotFound(f"There is no response {record.id!r}.", "response_not_found")
            record = found
    return record


class Query:
    """The query of a request; of a repeated name the last one counts.

    Args:
        scope: The request's scope.
    """

    def __init__(self, scope: Scope) -> None:
        self._values = QueryParams(scope["query_string"])

    def get(self, name: str) -> str | None:
        """Give a value as it is."""
        return self._values.get(name)

    def flag(self, name: str) -> bool:
        """Give a value that is true or false; false where it is not there.

        Raises:
            InvalidRequest: It is neither.
        """
        return self.choice(name, ("false", "true")) == "true"

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Give a value out of a few; the first one where it is not there.

        Raises:
            InvalidRequest: It is none of them.
        """
        given = self._values.get(name, allowed[0]).lower()
        if given not in allowed:
            raise InvalidRequest(f"{name}: must be {' or '.join(allowed)}.", name)
        return given

    def number(self, name: str, default: int, least: int, most: int | None = None) -> int:
        """Give a value that is a whole number.

        Raises:
            InvalidRequest: It is none, or out of bounds.
        """
        given = self._values.get(name)
        if given is None:
            return default
        in_bounds = given.isascii() and given.isdigit() and len(given) < 19
        if not in_bounds or int(given) < least or (most is not None and int(given) > most):
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise InvalidRequest(f"{name}: must be a whole number {bounds}.", name)
        return int(given)


def _json(record: Record) -> Response:
    return json_response(codec.encode(stored_body(record)))
