"""The Responses API over a WebSocket, at the path of its POST (Open Responses, "WebSocket")."""

import asyncio
import logging
from collections import deque
from typing import Any, NamedTuple

import msgspec
from msgspec import structs
from starlette.types import Message, Receive, Scope, Send

from .. import codec
from ..body import check_shape
from ..context import Cause, Headers
from ..conversation import NoSuchResponse, after, listed, resolve
from ..errors import AgentError, InvalidRequest, TooLarge, TooMany
from ..lifecycle import Lifecycle
from ..router import AgentRouter
from ..run import Run
from ..schema.events import Event, VendorEvent
from ..schema.requests import ResponsesRequest
from ..service import Live, Service
from .answers import asks_for_trace, deny
from .base import owner_of
from .turn import Turn, prepare

logger = logging.getLogger("agent_asgi")

AHEAD = 16
"""How many messages may wait for the turn in progress; then no more are read."""
EVICTED = 1000
"""How many ids a connection remembers as evicted."""
NORMAL, SERVICE_RESTART, TRY_LATER = 1000, 1012, 1013
"""Codes that a connection closes with (RFC 6455, 7.4.1, and IANA's registry for the last two)."""


class WebSocket:
    """An ASGI app that serves turn after turn on one connection.

    Args:
        service: The app.
        router: The agent. Default None: the one that `model` names.
    """

    def __init__(self, service: Service, router: AgentRouter | None) -> None:
        self._service = service
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        await receive()
        try:
            live = await self._service.live()
        except AgentError as error:
            await deny(error, TRY_LATER, scope, receive, send)
            return
        try:
            with live.streams:
                await send({"type": "websocket.accept"})
                connection = Connection(self._service, self._router, live, scope, send)
                await connection.serve(receive)
        except TooMany as error:
            await deny(error, TRY_LATER, scope, receive, send)


class Over(NamedTuple):
    """Why a connection ends."""

    cause: Cause | None
    """What the turn in progress is cancelled with; None lets it end."""
    error: AgentError | None
    """What the client is told; None where it has left."""


GONE = Over("client_disconnected", None)
CUT = Over("shutdown", None)  # the server has closed the connection by itself
EXPIRED = Over(
    "shutdown",
    AgentError(
        "The connection has lasted as long as it may; open a new one.",
        400,
        "websocket_connection_limit_reached",
    ),
)
CLOSING = Over(None, AgentError("The server is shutting down.", 503, "unavailable"))


class Remembered(NamedTuple):
    """The latest response of a connection, with the conversation that it ends."""

    id: str
    items: list[dict[str, Any]]


class Connection:
    """One client's connection: its turns, one after the other, and the latest one's state."""

    def __init__(
        self, service: Service, router: AgentRouter | None, live: Live, scope: Scope, send: Send
    ) -> None:
        self._service = service
        self._router = router
        self._live = live
        self._scope = scope
        self._headers = Headers(scope["headers"])
        self._send = send
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue(AHEAD)
        self._run: Run | None = None
        self._over: Over | None = None
        self._latest: Remembered | None = None
        self._unsent: deque[bytes] = deque()  # a cancellation may come while one is sent
        self._evicted: deque[str] = deque(maxlen=EVICTED)

    async def serve(self, receive: Receive) -> None:
        """Serve turns until the client leaves, the time is over or the server ends."""
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self._service.timeouts.websocket, self._end, EXPIRED)
        tasks = [asyncio.create_task(each) for each in (self._read(receive), self._watch())]
        try:
            while self._over is None:
                message = await self._inbox.get()
                if message is not None:
                    await self._turn(message)
            if self._over.error is not None:
                await self._tell(self._over.error)
                await self._send({"type": "websocket.close", "code": NORMAL})
        except OSError:
            logger.debug("The client of a WebSocket has left.")
        finally:
            limit.cancel()
            for task in tasks:
                task.cancel()

    def _end(self, over: Over) -> None:
        """Take no more turns."""
        if over not in (GONE, CUT) and self._over not in (None, CLOSING):
            return
        self._over = over
        if self._run is not None and over.cause is not None:
            self._run.cancel(over.cause)
        if not self._inbox.full():
            self._inbox.put_nowait(None)

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            await self._inbox.put(message)
        self._end(CUT if message.get("code") == SERVICE_RESTART else GONE)

    async def _watch(self) -> None:
        await self._live.closing.wait()
        self._end(CLOSING)

    async def _turn(self, message: Message) -> None:
        body = message.get("bytes") or (message.get("text") or "").encode()
        previous = None
        try:
            fields = self._fields(body)
            named = fields.get("previous_response_id")
            previous = named if isinstance(named, str) else None
            request = self._decode(body, fields)
            router = self._router or self._service.by_model(request.model)
            turn = await prepare(
                self._live,
                router,
                request,
                self._scope,
                self._headers,
                wants_trace=asks_for_trace(self._headers, request.databricks_options),
                recall=self._recall,
            )
            async with self._live.gates[router.name], turn.locked(self._live):
                if self._over is not None and self._over.cause is not None:
                    return
                run, channel = turn.run(self._live, write_line, "websocket", error_events=False)
                await self._pull(run)
        except AgentError as error:
            self._service.counts.refuse(error.code)
            self._evict(previous)
            await self._tell(error)
            return
        if run.status == "failed":
            self._evict(previous)
        elif run.status in ("completed", "incomplete"):
            self._remember(turn, channel.lifecycle)

    def _fields(self, body: bytes) -> dict[str, Any]:
        limit = self._service.limits.max_body_bytes
        if len(body) > limit:
            raise TooLarge(limit)
        check_shape(body, self._service.limits)
        return codec.decode_object(body)

    @staticmethod
    def _decode(body: bytes, fields: dict[str, Any]) -> ResponsesRequest:
        if fields.get("type") != "response.create":
            raise InvalidRequest("type: a turn begins with `response.create`.", "type")
        if fields.get("background"):
            raise InvalidRequest("background: not over a WebSocket.", "background")
        if fields.get("stream") is False:
            raise InvalidRequest("stream: a WebSocket always streams.", "stream")
        return structs.replace(codec.decode_request(body), stream=True)

    async def _recall(self, request: ResponsesRequest) -> ResponsesRequest | None:
        """Continue from what this connection remembers."""
        previous = request.previous_response_id
        if previous is None:
            return None
        if previous in self._evicted:
            raise NoSuchResponse(previous)
        if self._latest is not None and self._latest.id == previous:
            items = self._latest.items
            known = {each["id"]: each for each in items if "id" in each}
            owner = owner_of(self._scope)
            return after(await resolve(self._live.store, request, owner, known), items)
        if request.store is False:
            raise NoSuchResponse(previous)
        return None

    def _remember(self, turn: Turn, lifecycle: Lifecycle) -> None:
        request = turn.request
        new = listed(request, turn.context.response_id)
        before = (
            request.input[: len(request.input) - len(new)] if request.previous_response_id else []
        )
        items = [*msgspec.to_builtins(before), *new, *lifecycle.response.output]
        self._latest = Remembered(turn.context.response_id, items)

    def _evict(self, id: str | None) -> None:
        """Forget the response that a failed turn named."""
        if id is None:
            return
        self._evicted.append(id)
        if self._latest is not None and self._latest.id == id:
            self._latest = None

    async def _pull(self, run: Run) -> None:
        self._run = run
        try:
            await run.pull(lambda batch: self._deliver(run, batch))
        finally:
            self._run = None

    async def _deliver(self, run: Run, batch: bytes) -> None:
        if self._over in (GONE, CUT):
            return
        try:
            if run.error is not None and not run.committed:
                await self._tell(run.error)
                return
            self._unsent += batch.split(b"\n")[:-1]
            while self._unsent:
                await self._put(self._unsent[0])
                self._unsent.popleft()
        except OSError as error:
            stalled = isinstance(error, TimeoutError)
            run.context.cancelled.set("client_stalled" if stalled else "client_disconnected")
            self._end(GONE)
            run.interrupt(asyncio.CancelledError())

    async def _tell(self, error: AgentError) -> None:
        """Send the envelope of an error; it ends the turn."""
        body = {"type": "error", "status": error.status, "error": error.payload()}
        await self._put(codec.encode(body))

    async def _put(self, text: bytes) -> None:
        """Send a message; once the connection is over, the client has a moment to take it."""
        times = self._service.timeouts
        bound = times.write if self._over is None else times.cleanup
        async with asyncio.timeout(bound):  # a TimeoutError is an OSError
            await self._send({"type": "websocket.send", "text": text.decode()})


def write_line(event: Event | VendorEvent, buffer: bytearray) -> None:
    """Append an event as a line of its own; each becomes a message."""
    codec.encode_event(event, buffer, end=b"\n")
