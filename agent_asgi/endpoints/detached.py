"""Runs that go on without their client: in the background, or under an idempotency key."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from .. import codec
from ..context import Headers
from ..errors import AgentError, Conflict, InvalidRequest, NotFound, TooMany, Unavailable
from ..lifecycle import Lifecycle
from ..resume import Fresh, frames_of
from ..router import AgentRouter
from ..schema.requests import ResponsesRequest
from ..service import Service
from ..sse import DONE, FollowedLog
from ..store.base import DAY, Failure, Frames, Record
from ..tail import ended, is_terminal, tail, trace_id_of, unnamed
from .answers import error_response, json_response
from .base import Incoming
from .turn import Turn

_failures = msgspec.json.Decoder(Failure)


class Key(NamedTuple):
    """An idempotency key, and what tells the bodies apart that it may come with."""

    name: str
    digest: str

    @classmethod
    def of(cls, headers: Headers, router: AgentRouter, body: bytes) -> "Key | None":
        """Give the key of a request, where it has one."""
        name = headers.get("idempotency-key")
        return None if name is None else cls(name, f"{router.name}:{codec.digest(body)}")


class Detached:
    """Begins a detached run, or joins the one that a key stands for, and answers from its log.

    Args:
        service: The app.
        incoming: The request.
        named: Whether frames have names and responses all their fields: Open Responses' dialect.
    """

    def __init__(self, service: Service, incoming: Incoming, *, named: bool) -> None:
        self._service = service
        self._incoming = incoming
        self._live = incoming.live
        self._named = named

    async def again(self, key: Key, request: ResponsesRequest) -> bool:
        """Answer a request whose key was there before; tell whether it was.

        Raises:
            Conflict: It came with another body.
        """
        found = await self._live.store.by_key(key.name, self._incoming.owner)
        if found is None:
            return False
        await self._join(found, key.digest, request)
        return True

    async def begin(self, turn: Turn, key: Key | None) -> None:
        """Store a run, have it executed, and answer.

        Raises:
            InvalidRequest: A background run that is not to be stored.
            Conflict: Another run has the conversation, or the key belongs to another body.
            Unavailable: The server is shutting down, or the store does not answer.
            TooMany: As many runs are at work, or wait, as may.
        """
        live, request = self._live, turn.request
        if request.background and request.store is False:
            raise InvalidRequest("background: a background run needs `store`.", "background")
        if live.drain.closed:
            raise Unavailable("The server is shutting down.")
        if request.stream:  # before a run is begun whose stream finds no room
            live.streams.check()
        gate = live.gates[turn.router.name]
        if request.background:
            self._check_queue()
        else:
            await gate.enter()
        leave = _nothing if request.background else gate.leave
        try:
            record, there = await self._accept(turn, key)
        except BaseException:
            leave()
            raise
        if there is not None:
            leave()
            await self._join(there, record.digest, request)
            return
        if request.background:
            await live.executor.enqueue(record)
        else:
            live.executor.submit(record.id, leave)
        await self._answer(record, bool(request.stream))

    def _check_queue(self) -> None:
        queued, most = self._live.executor.queued, self._service.limits.max_queued
        if queued >= most:
            raise TooMany(
                f"{queued} background runs wait, as many as may; come back in a moment.",
                "too_many_queued",
            )

    async def _accept(self, turn: Turn, key: Key | None) -> tuple[Record, Record | None]:
        """Store a run; give its record, and the one that the key stands for where there is one."""
        live, background = self._live, turn.request.background
        record, begun = _accepted(turn, key)
        here = not background or live.store.conninfo is None
        holder, lease = (live.executor.holder, self._service.timeouts.stalled) if here else ("", 0)
        await turn.lock(live)
        try:
            there = await live.store.accept(record, begun, holder, lease)
        except AgentError:
            await live.executor.unlock(record.id)
            raise
        except BaseException:  # it may be kept all the same; else its lock ends by itself
            live.executor.hand_lock_over(record.id)
            raise
        if there is not None:
            await live.executor.unlock(record.id)
            return record, there
        live.executor.hand_lock_over(record.id)
        if here:
            live.resumption.fresh[record.id] = Fresh(turn.context.headers, turn.context.state)
        return record, None

    async def _join(self, found: Record, digest: str | None, request: ResponsesRequest) -> None:
        if found.digest != digest:
            raise Conflict(
                "Idempotency-Key: it came with another body before.",
                "idempotency_key_reused",
                retry=False,
            )
        await self._answer(found, bool(request.stream))

    async def _answer(self, record: Record, stream: bool) -> None:
        incoming = self._incoming
        if stream:
            response: Response = self.stream(record, -1)
        elif record.background:
            response = self._body(record)
        else:
            response = await self._wait(record)
        await response(incoming.scope, incoming.receive, incoming.send)

    def stream(self, record: Record, after: int) -> Response:
        """Make the answer that gives a log from an event on, and on as it grows."""
        frames, times = self._frames(record, after), self._service.timeouts
        return FollowedLog(frames, self._live.streams, times.write)

    async def _frames(self, record: Record, after: int) -> AsyncIterator[bytes]:
        last = b""
        live, ping = self._live, self._service.timeouts.ping
        async for frames in tail(live.store, record, after, ping, live.closing):
            yield frames if self._named else unnamed(frames)
            last = frames
        trace_id = None if self._named else trace_id_of(last)
        if trace_id is not None:
            yield b"data: %s\n\n" % codec.encode({"trace_id": trace_id})
        if is_terminal(last) or not live.closing.is_set():
            yield DONE

    async def _wait(self, record: Record) -> Response:
        done = await ended(self._live.store, record, self._live.closing)
        if done is None:
            raise NotFound("The response was deleted.", "response_not_found")
        if done.active:
            raise Unavailable("The server is shutting down; ask again with the same key.")
        if done.failure is not None:
            return failed(_failures.decode(done.failure))
        return self._body(done)

    def _body(self, record: Record) -> Response:
        body = stored_body(record)
        return json_response(codec.encode(body if self._named else codec.short_form(body)))


def stored_body(record: Record) -> dict[str, Any]:
    """Give a stored response as it stands."""
    body: dict[str, Any] = msgspec.json.decode(record.response)
    return body | {"status": record.status}


def failed(failure: Failure) -> Response:
    """Make the answer of a run that failed before, told again."""
    error = AgentError(
        failure.error["message"] or "",
        failure.status,
        failure.error["code"],
        type=failure.error["type"],
        param=failure.error["param"],
        headers=failure.headers,
    )
    return error_response(error, started=True)


def _accepted(turn: Turn, key: Key | None) -> tuple[Record, Frames]:
    """Make the record of a run that is to come, and the first events of its log."""
    request = turn.request
    lifecycle = Lifecycle(turn.response())
    events = lifecycle.queue() if request.background else lifecycle.start()
    record = turn.record(
        lifecycle.response.status,
        codec.encode(lifecycle.response),
        caller=turn.caller(),
        key=None if key is None else key.name,
        digest=None if key is None else key.digest,
        expires_at=turn.created_at + DAY if request.store is False else 0.0,
    )
    return record, frames_of(events)


def _nothing() -> None:
    """Stand for what a background run, which waits for its turn, needs not give back."""
