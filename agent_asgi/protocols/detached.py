"""`Detached`: background runs and runs with an idempotency key, which outlive their request."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from typing import NamedTuple

import msgspec
from starlette.responses import Response as HttpResponse

from ..agents.router import AgentRouter
from ..background.log_reader import ENDS
from ..background.log_writer import LINES
from ..background.recovery import LocalContext
from ..errors import AgentError, Conflict, InvalidRequest, NotFound, Unavailable
from ..events.shown import Shown
from ..http.endpoint import HttpRequest, owner_of
from ..http.responses import error_response, json_response
from ..http.sse import LogStream
from ..runs.record import caller_of, item_ids_of, record_of
from ..runs.run import Run
from ..runtime import Runtime
from ..schema import codec
from ..schema.events import ResponseEvent
from ..schema.ids import MAX_ID
from ..schema.own_calls import MARK, View, shown
from ..schema.requests import ResponsesRequest
from ..schema.responses import Response
from ..store.base import DAY, Failure, Record, StoreUnavailable
from ..store.caller import Caller
from ..store.lines import Lines
from .base import Encoder, Protocol
from .prepare import lifecycle_of, lock, unlock


class _Terminal(msgspec.Struct):
    """The last event of a log."""

    response: Response


_callers = msgspec.json.Decoder(Caller)
_failures = msgspec.json.Decoder(Failure)
_responses = msgspec.json.Decoder(Response)
_terminals = msgspec.json.Decoder(_Terminal)


class Key(NamedTuple):
    """An idempotency key and the digest of its request."""

    name: str
    digest: str

    @classmethod
    def of(cls, name: str, router: AgentRouter, body: bytes) -> "Key":
        """Return the key with a name, for a request.

        Raises:
            InvalidRequest: The name is too long.
        """
        if len(name) > MAX_ID:
            message = f"Idempotency-Key: must have at most {MAX_ID} characters."
            raise InvalidRequest(message, "Idempotency-Key")
        return cls(name, f"{router.name}:{codec.digest(body)}")


class Detached:
    """Begins a detached run, or joins the earlier one with the same key, and answers from its log.

    Args:
        runtime: The app's runtime.
        protocol: The protocol of the client.
        request: The client's request.
        counted: Whether the request counts as a stream already. Default False.
    """

    def __init__(
        self,
        runtime: Runtime,
        protocol: Protocol,
        request: HttpRequest,
        *,
        counted: bool = False,
    ) -> None:
        self._runtime = runtime
        self._protocol = protocol
        self._request = request
        streams = nullcontext() if counted else runtime.engine.streams
        self._streams: AbstractContextManager[None] = streams

    async def again(self, key: Key, decoded: ResponsesRequest) -> bool:
        """Answer a request whose key was used before; return whether it was.

        Raises:
            Conflict: The key was used with a different body.
        """
        owner = owner_of(self._request.scope)
        record = await self._runtime.store.by_key(key.name, owner)
        if record is not None:
            await self._join(record, key.digest, decoded)
        return record is not None

    async def begin(self, run: Run, key: Key | None) -> None:
        """Store a run, have it executed, and answer.

        Raises:
            InvalidRequest: A background run is not to be stored.
            Conflict: Another run is active in the conversation, or the key was used with a
                different body.
            Unavailable: The server is shutting down, or the store does not answer.
            TooMany: There is no room for the run or its stream, or the user's quota is used up.
        """
        runtime, request = self._runtime, run.request
        if request.background and request.store is False:
            raise InvalidRequest("background: a background run needs `store`.", "background")
        runtime.admission.check()
        if not request.stream:
            await self._begin(run, key)
            return
        with self._streams:  # from before the run is stored
            self._streams = nullcontext()
            await self._begin(run, key)

    def complete(self, record: Record) -> None:
        """Add to the record of a new run what else is stored with it. Default: nothing."""

    async def _begin(self, run: Run, key: Key | None) -> None:
        put = self._enqueue if run.request.background else self._submit
        record, earlier = await put(run, key)
        if earlier is not None:
            await self._join(earlier, record.digest, run.request)
        else:
            await self._answer(record, run.request)

    async def _enqueue(self, run: Run, key: Key | None) -> tuple[Record, Record | None]:
        """Store and queue a background run; see `_accept`."""
        executor, quotas = self._runtime.executor, self._runtime.engine.quotas
        if quotas is not None:
            await quotas.admit(run)
        record = earlier = None
        try:
            with executor.place(self._runtime.engine.limits.max_queued, run.owner):
                record, earlier = await self._accept(run, key)
                if earlier is None and executor.enqueue_in is None:
                    await executor.enqueue(record)
        finally:
            if quotas is not None and (record is None or earlier is not None):
                quotas.leave(run)
        return record, earlier

    async def _submit(self, run: Run, key: Key | None) -> tuple[Record, Record | None]:
        """Store a run and have it executed now; see `_accept`."""
        engine = self._runtime.engine
        await engine.enter(run)
        record = earlier = None
        try:
            record, earlier = await self._accept(run, key)
        finally:
            if record is None or earlier is not None:
                engine.leave(run)
        if earlier is None:
            if run.permit is not None:
                run.permit.begun = True
            self._runtime.executor.submit(record.id, partial(engine.leave, run))
        return record, earlier

    async def _accept(self, run: Run, key: Key | None) -> tuple[Record, Record | None]:
        """Store a run; return its record, and the record of an earlier run with the same key."""
        runtime, background = self._runtime, run.request.background
        await lock(runtime, run)
        record, first_lines = _accepted(run, key)
        self.complete(record)
        waits = runtime.locks.waits(record.id)
        is_local = not background or runtime.store.conninfo is None
        is_held = is_local and not waits  # whoever comes first begins a run whose turn has come
        holder = runtime.executor.holder if is_held else ""
        lease = runtime.engine.timeouts.stalled if is_held else 0
        try:
            enqueue = runtime.executor.enqueue_in if background else None
            earlier = await runtime.store.accept(record, first_lines, holder, lease, enqueue)
        except StoreUnavailable:  # as below
            runtime.locks.hand_over(record.id)
            raise
        except AgentError:
            await unlock(runtime, run)
            raise
        except BaseException:  # it may be stored nevertheless; if not, its lock expires
            runtime.locks.hand_over(record.id)
            raise
        if earlier is not None:
            await unlock(runtime, run)
            return record, earlier
        runtime.locks.hand_over(record.id)
        if is_local:
            limits, queued = runtime.engine.limits, runtime.executor.queued
            begins = not waits and (not background or queued < limits.worker_concurrency)
            local = LocalContext(run.headers, run.state, waits, run if begins else None)
            runtime.recovery.keep(record.id, local)
        return record, None

    async def _join(self, record: Record, digest: str | None, decoded: ResponsesRequest) -> None:
        if record.digest != digest:
            raise Conflict(
                "Idempotency-Key: already used with a different body.",
                "idempotency_key_reused",
                retry=False,
            )
        await self._answer(record, decoded)

    async def _answer(self, record: Record, decoded: ResponsesRequest) -> None:
        if decoded.stream:
            response = self.stream(record, -1, decoded)
        elif record.background:
            response = self._body(record, decoded, self._protocol.accepted_status)
        else:
            response = await self._wait(record, decoded)
        await response(self._request.scope, self._request.receive, self._request.send)

    def stream(self, record: Record, after: int, decoded: ResponsesRequest) -> HttpResponse:
        """Return an answer that streams a run's log, and what is still added to it.

        Args:
            record: The run.
            after: The `sequence_number` after which it begins; -1 for the first event.
            decoded: The request.
        """
        frames = self._frames(record, after, decoded)
        timeouts = self._runtime.engine.timeouts
        return LogStream(frames, self._streams, timeouts, self._protocol.headers)

    async def _frames(
        self, record: Record, after: int, decoded: ResponsesRequest
    ) -> AsyncIterator[bytes]:
        admission, view, buffer = self._runtime.admission, self._protocol.own_tools, bytearray()
        response = response_of(record, view)
        encoder = self._protocol.encoder(decoded, response)
        mode, done, begin = _callers.decode(record.caller).own_tools, False, after
        if mode == "hidden" or (mode == "mcp_call" and view == "function_call"):
            begin = -1  # its numbers are not the shown ones
        replay = Replay(encoder, view, response, begin, after)
        async with aclosing(self._runtime.reader.tail(record, begin)) as log:
            async for lines in log:
                for line in codec.split_lines(lines):
                    done = replay.write(line, buffer) or done
                if buffer:
                    yield codec.on_one_line(bytes(buffer))
                    buffer.clear()
        if done or not admission.ending:
            yield encoder.end()

    async def _wait(self, record: Record, decoded: ResponsesRequest) -> HttpResponse:
        done = await self._runtime.reader.wait_for_end(record)
        if done is None:
            raise NotFound("The response was deleted.", "response_not_found")
        if done.active:
            raise Unavailable("The server is shutting down. Retry with the same Idempotency-Key.")
        if done.failure is None:
            return self._body(done, decoded)
        failure = _failures.decode(done.failure)
        error = AgentError(
            failure.error["message"] or "",
            failure.status,
            failure.error["code"],
            type=failure.error["type"],
            param=failure.error["param"],
            headers=failure.headers,
        )
        body = self._protocol.error(error, self._request.body)
        return error_response(error, started=True, body=body)

    def _body(self, record: Record, decoded: ResponsesRequest, status: int = 200) -> HttpResponse:
        response = response_of(record, self._protocol.own_tools)
        return json_response(self._protocol.encoder(decoded, response).body(None), status)


class Replay:
    """Encodes the lines of a log for a client.

    Args:
        encoder: Encodes them.
        view: How the client's protocol shows own calls.
        response: The response, which the last line updates.
        begin: The `sequence_number` in the log after which the lines begin.
        after: The `sequence_number`, as the client sees it, after which events are encoded.
    """

    def __init__(
        self, encoder: Encoder, view: View, response: Response, begin: int, after: int
    ) -> None:
        self._encoder = encoder
        self._view = view
        self._response = response
        self._after = after
        self._number = begin
        self._shown = Shown(encoder, view, after)

    def write(self, line: bytes, buffer: bytearray) -> bool:
        """Append an event to a buffer; return whether it is the last one."""
        is_last = codec.event_type(line) in ENDS
        if is_last:
            _update(self._response, _terminals.decode(line).response)
            self._response.output = shown(self._response.output, self._view)
        self._number += 1
        if not self._shown.renumbers and MARK not in line:
            if self._number > self._after:
                self._encoder.replay(line, buffer)
            return is_last
        event = codec.decode_event(line)
        if is_last and isinstance(event, ResponseEvent):
            event.response = self._response
        self._shown.write(event, buffer)
        return is_last


def response_of(record: Record, view: View) -> Response:
    """Return a stored response with its current status, as a protocol shows it."""
    response = _responses.decode(record.response)
    response.status = record.status
    response.output = shown(response.output, view)
    return response


def _update(response: Response, final: Response) -> None:
    for name in response.__struct_fields__:
        setattr(response, name, getattr(final, name))


def _accepted(run: Run, key: Key | None) -> tuple[Record, Lines]:
    """Return the record of a run that has not begun, and the first events of its log.

    From now on the run's output is its log.
    """
    request = run.request
    run.output = lifecycle = lifecycle_of(run).logged(LINES)
    if request.background:
        lifecycle.queue()
    else:
        lifecycle.start()
    record = record_of(run, lifecycle.response, codec.encode(lifecycle.response))
    record.item_ids = item_ids_of(run, lifecycle.response)
    record.caller = caller_of(run)
    if key is not None:
        record.key, record.digest = key
    if request.store is False:  # kept only for retries
        record.expires_at = run.created_at + DAY
    lines = codec.on_one_line(bytes(lifecycle.buffer))
    lifecycle.buffer.clear()
    return record, Lines(0, lifecycle.events, lines)
