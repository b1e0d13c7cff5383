"""A stored run becomes an attempt: its request decoded anew, its log taken in."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from . import codec
from .background import Attempt
from .channels import ResponsesChannel
from .context import Context, Headers
from .conversation import continued, output_ids
from .counts import RunMode
from .errors import AgentError, AgentFailed
from .items import OpenItems
from .lifecycle import Lifecycle
from .reducer import Reducer
from .router import AgentRouter, handler_of
from .runner import Runner
from .schema.events import Event, ResponseFailed, VendorEvent
from .schema.requests import ResponsesRequest
from .schema.responses import echo
from .sse import write_named
from .store.base import Caller, Ending, Failure, Frames, Record, Store, StoreUnavailable
from .tools import ToolChoice

_callers = msgspec.json.Decoder(Caller)


class Fresh(NamedTuple):
    """What only the process that took a request in has: its first attempt gets it."""

    headers: Mapping[str, str]
    state: dict[str, Any]


class Interrupted(AgentError):
    """The process that ran it died, and it is not begun anew."""

    def __init__(self) -> None:
        super().__init__("The server that ran this response died.", 500, "interrupted")


class Resumption:
    """Begins attempts of an app's stored runs.

    Args:
        routers: The agents.
        runner: Makes the runs.
        store: Has their requests and logs.
        max_attempts: How often a run is begun.
        state: What the app's lifespan gave.
    """

    def __init__(
        self,
        routers: Sequence[AgentRouter],
        runner: Runner,
        store: Store,
        max_attempts: int,
        state: Mapping[str, Any],
    ) -> None:
        self.fresh: dict[str, Fresh] = {}
        self._routers = {each.name: each for each in routers}
        self._runner = runner
        self._store = store
        self._max_attempts = max_attempts
        self._state = state

    async def begin(self, record: Record, error: AgentError | None) -> Attempt:
        """Make an attempt of a claimed run; one that fails at once where there is an error.

        Raises:
            StoreUnavailable: The store does not answer; nothing has begun.
        """
        router = self._routers[record.agent]
        request = codec.decode_request(record.request)
        handler = handler_of(router, bool(request.stream))
        context = self._context(record, request)
        lifecycle = Lifecycle(
            echo(request, id=record.id, created_at=int(record.created_at), agent=record.agent),
            ToolChoice(request),
        )
        groups = await self._log(record)
        for frames in groups:
            lifecycle.resume(codec.decode_events(frames.data))
            if record.attempt > 1:
                bodies = codec.event_bodies(frames.data)
                context.previous_events += map(msgspec.json.decode, bodies)
        wants_trace = _callers.decode(record.caller).wants_trace
        channel = ResponsesChannel(
            lifecycle, write_named, lambda: context.trace_id if wants_trace else None
        )
        value: object = None
        failure: BaseException | None = error or self._refusal(record, router)
        try:
            full = await continued(self._store, request, record.owner)
            value = handler.value(full)
        except StoreUnavailable:
            raise
        except AgentError as invalid:
            failure = failure or invalid
        run = self._runner.run(
            router,
            handler,
            value,
            request.received,
            context,
            channel,
            _mode(record, request),
            record.owner,
            outputs=None if failure is None else lambda: _raising(failure),
            committed=True,
        )
        return Attempt(run, channel, router.recover, groups[-1].last + 1)

    async def give_up(self, record: Record) -> tuple[Frames, Ending]:
        """Make the end of a run that no attempt can be made of."""
        reducer = Reducer()
        items = OpenItems(reducer)
        for frames in await self._log(record):
            for event in codec.decode_events(frames.data):
                items.restore(event)
        error = AgentFailed()
        items.error(error)
        told = {"code": error.code, "message": error.message}
        response: dict[str, Any] = msgspec.json.decode(record.response)
        response |= {"status": "failed", "error": told, "output": reducer.output()}
        body = codec.encode(response)
        items.emit(ResponseFailed, response=msgspec.Raw(body))
        events = items.taken()
        failure = codec.encode(Failure(status=error.status, error=error.payload()))
        ids = output_ids(response["output"]) if record.visible else ()
        ending = Ending(status="failed", response=body, item_ids=ids, failure=failure)
        return frames_of(events), ending

    def forget(self, id: str) -> None:
        """Keep nothing more of a run."""
        self.fresh.pop(id, None)

    def _refusal(self, record: Record, router: AgentRouter) -> BaseException | None:
        if record.cancel_wanted:
            return asyncio.CancelledError()
        if record.attempt > (self._max_attempts if router.recover else 1):
            return Interrupted()
        return None

    def _context(self, record: Record, request: ResponsesRequest) -> Context:
        caller = _callers.decode(record.caller)
        fresh = self.fresh.pop(record.id, None) or Fresh(Headers.kept(caller.headers), {})
        context = Context(
            record.id,
            record.agent,
            headers=fresh.headers,
            session_id=caller.session_id,
            user=caller.user,
            model=request.model,
            attempt=record.attempt,
            state={**self._state, **fresh.state},
            request_id=caller.request_id,
        )
        if record.cancel_wanted:
            context.cancelled.set("client_cancelled")
        return context

    async def _log(self, record: Record) -> list[Frames]:
        log = await self._store.frames(record.id, -1)
        while more := await self._store.frames(record.id, log[-1].last):
            log += more
        return log


def _mode(record: Record, request: ResponsesRequest) -> RunMode:
    if record.background:
        return "background"
    return "stream" if request.stream else "json"


def frames_of(events: Sequence[Event | VendorEvent]) -> Frames:
    """Make what a log has of events that follow one another."""
    data = bytearray()
    for event in events:
        write_named(event, data)
    return Frames(events[0].sequence_number, len(events), codec.on_one_line(bytes(data)))


async def _raising(error: BaseException) -> AsyncIterator[Any]:
    raise error
    yield
