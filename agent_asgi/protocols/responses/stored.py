"""Endpoints of stored responses: delete one, cancel one, list its input items."""

import logging
from typing import Any

import msgspec
from starlette.responses import Response

from ...agents.router import AgentRouter
from ...errors import AgentError
from ...http.endpoint import Endpoint, HttpRequest, owner_of
from ...http.responses import json_response
from ...runtime import AppConfig, Runtime
from ...schema import codec
from ...schema.decode import decode_stored
from ...schema.own_calls import shown
from ...store.base import Record
from ...store.history import input_items
from ..base import Protocol
from ..cancel import cancelled
from ..detached import response_of
from ..paging import Page, check_listed
from ..retrieve import StoredEndpoint

logger = logging.getLogger("agent_asgi")


class Delete(StoredEndpoint):
    """`DELETE /responses/{id}`: delete a response; an active run is cancelled."""

    counted = False

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        await runtime.store.delete(record.id, record.owner)
        runtime.executor.cancel(record.id, "client_cancelled")
        body = {"id": record.id, "object": "response.deleted", "deleted": True}
        return json_response(codec.encode(body))


class Cancel(StoredEndpoint):
    """`POST /responses/{id}/cancel`: cancel a run; one that has ended does not change."""

    counted = False

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        if record.active:
            record = await cancelled(runtime, record)
        return _json(record)


class InputItems(StoredEndpoint):
    """`GET /responses/{id}/input_items`: list the input items of a response."""

    async def answer(self, runtime: Runtime, request: HttpRequest, record: Record) -> Response:
        page = Page(request.scope)
        items = input_items(record)
        if page.query.choice("order", ("desc", "asc")) == "desc":
            items.reverse()
        if page.after is not None:
            ids = [item["id"] for item in items]
            if page.after not in ids:
                raise page.no_such("item")
            items = items[ids.index(page.after) + 1 :]
        return json_response(codec.encode(page.body([(item["id"], item) for item in items])))


class ListResponses(Endpoint):
    """`GET /responses`: list the user's responses, newest first.

    Args:
        protocol: The protocol of the client.
        config: The app's settings.
        router: The agent whose responses are listed; None for all agents.
    """

    def __init__(self, protocol: Protocol, config: AppConfig, router: AgentRouter | None) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._protocol = protocol
        self._config = config

    async def answer(self, request: HttpRequest) -> None:
        runtime = await self._config.running()
        with runtime.engine.streams:
            response = await self._page(runtime, request)
            await response(request.scope, request.receive, request.send)

    async def _page(self, runtime: Runtime, request: HttpRequest) -> Response:
        owner = owner_of(request.scope)
        check_listed(runtime.engine, owner)
        page = Page(request.scope)
        routers = self._config.routers if self.router is None else (self.router,)
        names = [router.name for router in routers]
        size = self._config.limits.max_conversation_bytes
        found = await runtime.store.page(owner, names, page.after, page.limit, size)
        if found is None:
            raise page.no_such("response")
        entries = [(record.id, raw) for record in found.records if (raw := self._body(record))]
        body = page.body(entries, has_more=found.has_more)
        return json_response(codec.encode(body))

    def _body(self, record: Record) -> msgspec.Raw | None:
        """Return a response as JSON; None if it cannot be read, which must not fail the list."""
        try:
            request = decode_stored(record.request)
            response = response_of(record, self._protocol.own_tools)
        except (AgentError, msgspec.DecodeError):
            logger.exception("%s cannot be decoded; the list leaves it out.", record.id)
            return None
        return msgspec.Raw(self._protocol.encoder(request, response).body(None))


def _json(record: Record) -> Response:
    body: dict[str, Any] = msgspec.json.decode(record.response)
    visible = {"status": record.status, "output": shown(body["output"], "mcp_call")}
    return json_response(codec.encode(body | visible))
