"""Making an attempt of a stored run: its request is decoded, its log restored."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from ..agents.handler import PREPARE, Handler
from ..agents.router import AgentRouter
from ..context import Headers
from ..errors import AgentError, AgentFailed
from ..events.builder import Builder
from ..events.lifecycle import Lifecycle
from ..events.replay import restore
from ..events.shown import Shown
from ..events.tool_choice import ToolChoice
from ..runs.conversation import RunConversation, conversation_of
from ..runs.engine import Engine
from ..runs.run import Run
from ..schema import codec
from ..schema.decode import decode_stored
from ..schema.events import ResponseFailed
from ..schema.own_calls import MARK
from ..schema.requests import ConversationRef, ResponsesRequest
from ..schema.responses import Usage, echo
from ..store.approvals import find_answers, saved_state
from ..store.base import Ending, Failure, Record, Store, StoreUnavailable
from ..store.caller import Caller
from ..store.chain import continued
from ..store.history import output_ids
from ..store.lines import Lines
from .log_writer import LINES

_callers = msgspec.json.Decoder(Caller)


class Attempt(NamedTuple):
    """An attempt of a run, before it is executed."""

    run: Run
    lifecycle: Lifecycle
    recover: bool
    """Whether another process may take the run over."""
    next_number: int
    """`sequence_number` of its first event."""
    fails: bool
    """Whether it fails without calling the router's handler."""


class LocalContext(NamedTuple):
    """What only the process that accepted the request knows; the first attempt gets it."""

    headers: Mapping[str, str]
    state: dict[str, Any]
    waits: bool
    """Whether the run waits for its turn in a conversation, so that it may be refused at first."""
    run: Run | None = None
    """The run itself, whose output is its log, if it is to begin at once."""


class Interrupted(AgentError):
    """The process that executed a run died, and no further attempt is made."""

    def __init__(self) -> None:
        super().__init__("The server that ran this response died.", 500, "interrupted")


class Recovery:
    """Makes attempts of an app's stored runs.

    Args:
        routers: The agents.
        engine: What all runs share.
        store: The store of the runs.
        state: The lifespan's state.

    Attributes:
        local_contexts: For runs that this process accepted and has not begun, by id.
    """

    def __init__(
        self, routers: Sequence[AgentRouter], engine: Engine, store: Store, state: Mapping[str, Any]
    ) -> None:
        self.local_contexts: dict[str, LocalContext] = {}
        self._routers = {router.name: router for router in routers}
        self._engine = engine
        self._store = store
        self._state = state

    def keep(self, id: str, local: LocalContext) -> None:
        """Keep what the first attempt of a run gets if it is made here.

        The oldest are forgotten, since no message comes if another process begins such a run.
        """
        self.local_contexts[id] = local
        while len(self.local_contexts) > 2 * self._engine.limits.max_queued:
            del self.local_contexts[next(iter(self.local_contexts))]

    async def begin(self, record: Record, error: AgentError | None) -> Attempt:
        """Return an attempt of a claimed run; if an error is given, one that fails with it.

        Raises:
            StoreUnavailable: The store does not answer. The call may be repeated.
        """
        router = self._routers[record.agent]
        local = self.local_contexts.get(record.id)
        is_new = record.attempt == 1 and error is None and not record.cancel_wanted
        if is_new and local is not None and local.run is not None:
            del self.local_contexts[record.id]
            return _first_attempt(local.run)
        request = decode_stored(record.request)
        handler = PREPARE if request.only_prepares else router.handler_for(bool(request.stream))
        response = echo(request, record.id, record.agent)
        response.created_at = int(record.created_at)
        choice = None if request.only_prepares else ToolChoice(request)
        caller = _callers.decode(record.caller)
        own_tools = self._engine.own_tools[record.agent]._replace(mode=caller.own_tools)
        lifecycle = Lifecycle(response, LINES, choice, own_tools)
        log = await self._log(record)
        lines = [line for group in log for line in codec.split_lines(group.data)]
        for line in lines:
            lifecycle.restore(codec.decode_event(line))
        value, answers, state, conversation = None, None, None, None
        failure: BaseException | None = error or self._failure(record, router)
        try:
            conversation = conversation_of(
                self._engine, request, record.owner, has_history=caller.has_history
            )
            value = await handler.value_of(await self._whole(request, record.owner, conversation))
            answers = await find_answers(
                self._store, request, record.owner, record.agent, record.id
            )
            state = await saved_state(self._store, answers)
        except StoreUnavailable:
            raise
        except AgentError as invalid:
            failure = failure or invalid
        if failure is not None:
            handler = _failing(handler, failure)
        run = self._run(record, caller, request, router, handler, value, lifecycle)
        run.answers, run.saved_state = answers, state
        if conversation is not None:
            lifecycle.avoid(conversation.ids)
            run.conversation = conversation
            response.conversation = ConversationRef(id=conversation.id)
        if record.attempt > 1:
            run.previous_events = _events(lines)
        return Attempt(run, lifecycle, router.recover, log[-1].last + 1, fails=failure is not None)

    async def _whole(
        self, request: ResponsesRequest, owner: str, conversation: RunConversation | None
    ) -> ResponsesRequest:
        """Return a request whose input begins with what it continues."""
        limits = self._engine.limits
        any_id = self._engine.knows_user(owner)
        whole = await continued(self._store, request, owner, limits, any_id=any_id)
        if conversation is not None:
            whole = await conversation.load(self._store, whole, owner, limits)
        return whole

    async def failed_ending(self, record: Record, *, with_output: bool) -> tuple[Lines, Ending]:
        """Return the last events and the ending of a run that cannot be attempted."""
        builder = Builder(LINES)
        for group in await self._log(record):
            for line in codec.split_lines(group.data):
                restore(builder, codec.decode_event(line))
        first = builder.sequence
        error = AgentFailed()
        builder.error(error)
        reason = {"code": error.code, "message": error.message}
        response: dict[str, Any] = msgspec.json.decode(record.response)
        response |= {"status": "failed", "error": reason, "output": []}
        if with_output:
            response["output"] = builder.output()
        response["usage"] = response["usage"] or Usage()
        body = codec.encode(response)
        builder.emit(ResponseFailed, msgspec.Raw(body))
        failure = codec.encode(Failure(status=error.status, error=error.payload()))
        ids = output_ids(response["output"]) if record.visible else ()
        ending = Ending(
            status="failed",
            response=body,
            item_ids=ids,
            failure=failure,
            started=record.attempt > 1,
        )
        lines = codec.on_one_line(bytes(builder.buffer))
        return Lines(first, builder.sequence - first, lines), ending

    def _failure(self, record: Record, router: AgentRouter) -> BaseException | None:
        if record.cancel_wanted:
            return asyncio.CancelledError()
        max_attempts = self._engine.limits.max_attempts if router.recover else 1
        return Interrupted() if record.attempt > max_attempts else None

    def _run(
        self,
        record: Record,
        caller: Caller,
        request: ResponsesRequest,
        router: AgentRouter,
        handler: Handler,
        value: object,
        lifecycle: Lifecycle,
    ) -> Run:
        local = self.local_contexts.pop(record.id, None)
        headers: Mapping[str, str] = Headers.kept(caller.headers)
        state: dict[str, Any] = {}
        if local is not None:
            headers, state = local.headers, local.state

        run = Run(
            self._engine,
            router,
            handler,
            value,
            request.received,
            lifecycle,
            "background" if record.background else "stream" if request.stream else "json",
            record.owner,
            headers,
            request,
            record.id,
            {**self._state, **state},
        )
        run.session_id = caller.session_id
        run.user = caller.user
        run.request_id = caller.request_id
        run.attempt = record.attempt
        run.wants_trace = caller.wants_trace
        run.committed = run.detached = True
        if record.cancel_wanted:
            run.cancelled.set("client_cancelled")
        return run

    async def _log(self, record: Record) -> list[Lines]:
        if record.begun:
            return list(record.begun)
        log = await self._store.events(record.id, -1)
        while groups := await self._store.events(record.id, log[-1].last):
            log += groups
        return log


def _first_attempt(run: Run) -> Attempt:
    """Return the attempt of a run that has just been accepted here: nothing has to be decoded."""
    lifecycle = cast(Lifecycle, run.output)
    run.committed = run.detached = True
    if run.request.background:
        run.mode = "background"
    return Attempt(run, lifecycle, run.router.recover, lifecycle.events, fails=False)


def _events(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the events of a log as plain JSON, with the agent's own calls as pairs."""
    if any(MARK in line for line in lines):
        buffer = bytearray()
        pairs = Shown(LINES, "function_call")
        for line in lines:
            pairs.write(codec.decode_event(line), buffer)
        lines = codec.split_lines(bytes(buffer))
    return [msgspec.json.decode(line) for line in lines]


def _failing(handler: Handler, error: BaseException) -> Handler:
    """Return a handler with the same name that raises an error."""

    async def fail() -> AsyncIterator[Any]:
        raise error
        yield

    failing = Handler(fail)
    failing.name = handler.name
    return failing
