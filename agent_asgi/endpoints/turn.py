"""One Responses request, checked and with all it continues, ready to run."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from starlette.types import Scope

from .. import codec
from ..channels import ResponsesChannel, Write
from ..context import Context, Headers
from ..conversation import continued, input_ids, output_ids, resolve
from ..counts import RunMode
from ..errors import Conflict
from ..handlers import Handler
from ..lifecycle import Lifecycle
from ..router import AgentRouter, handler_of
from ..run import Run
from ..schema.requests import ConversationRef, ResponsesRequest
from ..schema.responses import Response, ResponseStatus, echo
from ..service import Live
from ..store.base import Caller, Record
from ..tools import ToolChoice
from .base import context_of, owner_of

Recall = Callable[[ResponsesRequest], Awaitable[ResponsesRequest | None]]
"""Gives a request with all it continues, where that is known without the store."""


class Turn(NamedTuple):
    """A request that may run."""

    request: ResponsesRequest
    router: AgentRouter
    handler: Handler
    value: object
    context: Context
    owner: str
    created_at: float
    wants_trace: bool

    def response(self) -> Response:
        """Make the response that is to be."""
        return echo(
            self.request,
            id=self.context.response_id,
            created_at=int(self.created_at),
            agent=self.router.name,
        )

    def run(
        self, live: Live, write: Write | None, mode: RunMode, *, error_events: bool = True
    ) -> tuple[Run, ResponsesChannel]:
        """Make the run, whose response is stored before its end is told.

        Args:
            live: What runs in this event loop.
            write: Appends an event to the stream; None where none is wanted.
            mode: How it is answered.
            error_events: Whether an `error` event comes before `response.failed`. Default True.
        """
        context, request = self.context, self.request
        choice = ToolChoice(request) if request.tools else None
        lifecycle = Lifecycle(self.response(), choice, events=write is not None)
        lifecycle.error_events = error_events
        channel = ResponsesChannel(
            lifecycle, write, self.trace_id, lambda done: self._conclude(live, lifecycle, done)
        )
        run = live.runner.run(
            self.router,
            self.handler,
            self.value,
            request.received,
            context,
            channel,
            mode,
            self.owner,
        )
        return run, channel

    def trace_id(self) -> str | None:
        """Give the trace's id, where the client asked for it."""
        return self.context.trace_id if self.wants_trace else None

    async def _conclude(self, live: Live, lifecycle: Lifecycle, encoded: bytes) -> bool:
        response = lifecycle.response
        record = None
        if self.request.store is not False:
            record = self.record(response.status, encoded, output_ids(response.output))
        return await live.conclude(response.id, record)

    def record(
        self, status: ResponseStatus, response: bytes, output: tuple[str, ...] = (), **more: Any
    ) -> Record:
        """Make what is stored.

        Args:
            status: How far the run has come.
            response: The response, encoded.
            output: Ids of the items of its output.
            **more: Further fields.
        """
        request, context = self.request, self.context
        visible = request.store is not False
        return Record(
            id=context.response_id,
            owner=self.owner,
            agent=self.router.name,
            status=status,
            created_at=self.created_at,
            previous_id=request.previous_response_id,
            background=bool(request.background),
            request=bytes(request.raw or b""),
            response=response,
            visible=visible,
            item_ids=(*input_ids(request, context.response_id), *output) if visible else (),
            **more,
        )

    def caller(self) -> bytes:
        """Give what a detached run needs beside the request's body."""
        context = self.context
        kept = context.headers
        caller = Caller(
            session_id=context.session_id,
            user=context.user,
            request_id=context.request_id,
            headers={name: kept[name] for name in self.router.keep_headers if name in kept},
            wants_trace=self.wants_trace,
        )
        return codec.encode(caller)

    @asynccontextmanager
    async def locked(self, live: Live) -> AsyncIterator[None]:
        """Have the conversation, where one is named, for the length of a block.

        Raises:
            Conflict: Another run has it.
        """
        await self.lock(live)
        try:
            yield
        finally:
            await live.executor.unlock(self.context.response_id)

    async def lock(self, live: Live) -> None:
        """Lock the conversation, where one is named.

        Raises:
            Conflict: Another run has it.
        """
        given = self.request.conversation
        name = given.id if isinstance(given, ConversationRef) else given
        response_id = self.context.response_id
        if name is not None and not await live.executor.lock(name, self.owner, response_id):
            raise Conflict(
                f"conversation: another run is at work in {name!r}; wait for its end.",
                "conversation_locked",
                retry=True,
            )


async def prepare(
    live: Live,
    router: AgentRouter,
    request: ResponsesRequest,
    scope: Scope,
    headers: Headers,
    *,
    wants_trace: bool,
    recall: Recall | None = None,
) -> Turn:
    """Check a request and load what it continues.

    Args:
        live: What runs in this event loop.
        router: The agent.
        request: The request, decoded.
        scope: The connection, for who asks.
        headers: The request's headers.
        wants_trace: Whether the client asked for the trace's id.
        recall: Asked before the store. Default: knows nothing.

    Raises:
        AgentError: The request is at fault; no handler has started.
    """
    owner = owner_of(scope)
    handler = handler_of(router, bool(request.stream))
    if request.tools:
        ToolChoice(request).check_possible()
    full = None if recall is None else await recall(request)
    if full is None:
        full = await resolve(live.store, request, owner)
        full = await continued(live.store, full, owner)
    return Turn(
        full,
        router,
        handler,
        handler.value(full),
        context_of(live, scope, headers, router, owner, request),
        owner,
        time.time(),
        wants_trace,
    )
