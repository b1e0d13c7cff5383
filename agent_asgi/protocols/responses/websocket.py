"""The Responses API over a WebSocket, at the path of POST (Open Responses, "WebSocket")."""

import asyncio
import logging
from codecs import BOM_UTF8
from collections import deque
from copy import copy
from typing import Any, NamedTuple

import msgspec
from msgspec import structs
from starlette.types import Message, Receive, Scope, Send

from ...agents.router import AgentRouter
from ...background.log_writer import LINES
from ...context import Cause, Headers
from ...errors import AgentError, InvalidRequest, TooLarge, TooMany
from ...events.accumulator import OutputItem
from ...http.body import check_shape
from ...http.endpoint import owner_of
from ...http.responses import deny
from ...runs.admission import Stage
from ...runs.run import Run
from ...runtime import AppConfig, Runtime
from ...schema import codec
from ...schema.decode import decode_items, decode_request
from ...schema.events import AnyEvent
from ...schema.history import History
from ...schema.items import InputItem
from ...schema.requests import ResponsesRequest, unread
from ...schema.responses import Response
from ...store.chain import NoSuchResponse, check_size, resolve
from ...store.conversation_store import Size
from ...store.history import after, full_input, item_id_of, refers
from ..base import Encoder, Protocol
from ..prepare import lifecycle_of, prepare, release, reserve

logger = logging.getLogger("agent_asgi")

MAX_WAITING = 16
"""How many messages may wait for the current turn; no more are read then, or if they have more
bytes together than one may have."""
ENVELOPE = frozenset({"type", "stream_id"})
"""The fields of a message that are no fields of a POST's body."""
MAX_EVICTED = 1000
"""How many evicted ids a connection remembers."""
NORMAL, SERVICE_RESTART, TRY_LATER = 1000, 1012, 1013
"""Close codes (RFC 6455, 7.4.1, and IANA's registry for the last two)."""


class WebSocketProtocol(Protocol):
    """The Responses API over a WebSocket: each event is a message."""

    name = "WebSocket"
    answers_calls = True

    def encoder(self, request: ResponsesRequest, response: Response) -> "LineEncoder":
        return LineEncoder()


class LineEncoder(Encoder):
    """Writes each event as one line; each line becomes a message."""

    def write(self, event: AnyEvent, buffer: bytearray) -> None:
        LINES.write(event, buffer)

    def text_frame(self, item: OutputItem) -> bytes:
        return LINES.text_frame(item)


PROTOCOL = WebSocketProtocol()


class WebSocket:
    """An ASGI app that serves connections.

    Args:
        config: The app's settings.
        router: The agent; None for the one that `model` names.
    """

    def __init__(self, config: AppConfig, router: AgentRouter | None) -> None:
        self._config = config
        self.router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            runtime = await self._config.running()
        except AgentError as error:
            await deny(error, TRY_LATER, scope, receive, send)
            return
        try:
            with runtime.engine.streams:
                await send({"type": "websocket.accept"})
                connection = Connection(self._config, self.router, runtime, scope, send)
                await connection.serve(receive)
        except TooMany as error:
            await deny(error, TRY_LATER, scope, receive, send)


class Closing(NamedTuple):
    """Why a connection ends."""

    cause: Cause | None
    """The cause with which the current turn is cancelled; None lets it end."""
    error: AgentError | None
    """The error that is sent to the client; None if it has disconnected."""


DISCONNECTED = Closing("client_disconnected", None)
CLOSED = Closing("shutdown", None)  # the server has closed the connection
EXPIRED = Closing(
    "shutdown",
    AgentError(
        "The connection has reached its time limit. Open a new one.",
        400,
        "websocket_connection_limit_reached",
    ),
)
SHUTTING_DOWN = Closing(None, AgentError("The server is shutting down.", 503, "unavailable"))


class Remembered(NamedTuple):
    """The latest response of a connection, and the conversation up to its end."""

    id: str
    items: list[InputItem]
    size: int
    """The bytes of the connection's requests and outputs among them."""


class Connection:
    """One connection: its turns, one after the other, and the state that they share."""

    def __init__(
        self,
        config: AppConfig,
        router: AgentRouter | None,
        runtime: Runtime,
        scope: Scope,
        send: Send,
    ) -> None:
        self._config = config
        self._router = router
        self._runtime = runtime
        self._scope = scope
        self._headers = Headers(scope["headers"])
        self._send = send
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue(MAX_WAITING)
        self._waiting = 0  # bytes
        self._run: Run | None = None
        self._closing: Closing | None = None
        self._latest: Remembered | None = None
        self._lane = b""
        self._unsent: deque[bytes] = deque()  # kept if sending is cancelled
        self._evicted: deque[str] = deque(maxlen=MAX_EVICTED)

    async def serve(self, receive: Receive) -> None:
        """Serve turns until the client disconnects, the time is up or the server shuts down."""
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self._config.timeouts.websocket, self._end, EXPIRED)
        tasks = [asyncio.create_task(self._read(receive)), asyncio.create_task(self._watch())]
        try:
            while self._closing is None:
                message = await self._inbox.get()
                self._waiting -= _size(message)
                self._inbox.task_done()
                if message is not None:
                    await self._turn(message)
            if self._closing.error is not None:
                await self._send_error(self._closing.error)
                await self._send({"type": "websocket.close", "code": NORMAL})
        except OSError:
            logger.debug("The client of a WebSocket has disconnected.")
        finally:
            limit.cancel()
            for task in tasks:
                task.cancel()

    def _end(self, closing: Closing) -> None:
        """Begin no more turns."""
        if closing not in (DISCONNECTED, CLOSED) and self._closing not in (None, SHUTTING_DOWN):
            return
        self._closing = closing
        if self._run is not None and closing.cause is not None:
            self._run.cancel(closing.cause)
        if not self._inbox.full():
            self._inbox.put_nowait(None)

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            self._waiting += _size(message)
            await self._inbox.put(message)
            if self._waiting > self._config.limits.max_body_bytes:
                await self._inbox.join()  # until the turns have taken them
        self._end(CLOSED if message.get("code") == SERVICE_RESTART else DISCONNECTED)

    async def _watch(self) -> None:
        await self._runtime.admission.reached(Stage.ENDING)
        self._end(SHUTTING_DOWN)

    async def _turn(self, message: Message) -> None:
        body = message.get("bytes") or (message.get("text") or "").encode()
        body = body.removeprefix(BOM_UTF8)
        previous = None
        try:
            fields = self._fields(body)
            self._lane = _lane(fields)
            if fields.get("type") == "response.steer":
                await self._send_text(_steer_failed(fields))
                return
            previous = fields.get("previous_response_id")
            request = _decode(fields)
            router = self._router or self._config.by_model(request.model)
            run, _ = await prepare(
                self._runtime,
                router,
                request,
                PROTOCOL,
                self._scope,
                self._headers,
                "websocket",
                recall=self._recall,
            )
            lifecycle = lifecycle_of(run)
            lifecycle.error_events = False
            run.keeps = True
            engine = self._runtime.engine
            await engine.enter(run)
            try:
                await reserve(self._runtime, run)
                if self._closing is not None and self._closing.cause is not None:
                    return
                await self._pull(run)
            finally:
                engine.leave(run)
                await release(self._runtime, run)
        except AgentError as error:
            self._config.refused(error.code)
            self._evict(previous)
            await self._send_error(error)
            return
        finally:
            self._lane = b""
        if run.status == "failed":
            self._evict(previous)
        elif run.status in ("completed", "incomplete"):
            await self._remember(run)

    def _fields(self, body: bytes) -> dict[str, Any]:
        limit = self._config.limits.max_body_bytes
        if len(body) > limit:
            raise TooLarge(limit)
        check_shape(body, self._config.limits)
        return codec.decode_object(body)

    async def _recall(self, request: ResponsesRequest) -> ResponsesRequest | None:
        """Return a request with its history, if this connection remembers it."""
        previous = request.previous_response_id
        if previous is None:
            return None
        if previous in self._evicted:
            raise NoSuchResponse(previous)
        if self._latest is not None and self._latest.id == previous:
            items, limits = self._latest.items, self._config.limits
            check_size(Size(len(items), self._latest.size), limits, "previous_response_id")
            if refers(request):
                known = {item_id_of(item): item for item in items}
                owner = owner_of(self._scope)
                any_id = self._runtime.engine.knows_user(owner)
                store = self._runtime.store
                request = await resolve(store, request, owner, known, limits, any_id=any_id)
            return await after(request, History(items))
        if request.store is False:
            raise NoSuchResponse(previous)
        return None

    async def _remember(self, run: Run) -> None:
        request = run.request
        history = unread(request)
        earlier = request.input[: request.earlier] if history is None else await history.decode()
        new = [copy(item) for item in request.new_input]  # the handler may change its own
        new = full_input(structs.replace(request, input=new, earlier=0), run.response_id)
        output = codec.encode(lifecycle_of(run).output)
        items = [*earlier, *new, *decode_items(msgspec.Raw(output))]
        size = len(request.raw or b"") + len(output)
        if self._latest is not None and self._latest.id == request.previous_response_id:
            size += self._latest.size
        self._latest = Remembered(run.response_id, items, size)

    def _evict(self, id: Any) -> None:
        """Forget the response that a failed turn named as its previous one."""
        if not isinstance(id, str):
            return
        self._evicted.append(id)
        if self._latest is not None and self._latest.id == id:
            self._latest = None

    async def _pull(self, run: Run) -> None:
        self._run = run
        try:
            await run.pull(lambda: self._deliver(run))
        finally:
            self._run = None

    async def _deliver(self, run: Run) -> None:
        batch = run.take()
        if self._closing in (DISCONNECTED, CLOSED):
            return
        try:
            if run.error is not None and not run.committed:
                await self._send_error(run.error)
                return
            self._unsent += batch.split(b"\n")[:-1]
            while self._unsent:
                await self._send_text(self._unsent[0])
                self._unsent.popleft()
        except OSError as error:
            stalled = isinstance(error, TimeoutError)
            run.cancelled.set("client_stalled" if stalled else "client_disconnected")
            self._end(DISCONNECTED)
            run.interrupt(asyncio.CancelledError())

    async def _send_error(self, error: AgentError) -> None:
        """Send an error, which ends the turn."""
        body = {"type": "error", "status": error.status, "error": error.payload()}
        await self._send_text(codec.encode(body))

    async def _send_text(self, text: bytes) -> None:
        """Send a message; fail with a `TimeoutError`, an `OSError`, if the client does not read."""
        if self._lane:
            text = text[:-1] + self._lane
        timeouts = self._config.timeouts
        seconds = timeouts.write if self._closing is None else timeouts.cleanup
        async with asyncio.timeout(seconds):
            await self._send({"type": "websocket.send", "text": text.decode()})


def _size(message: Message | None) -> int:
    return 0 if message is None else len(message.get("bytes") or message.get("text") or "")


def _lane(fields: dict[str, Any]) -> bytes:
    """Return the end of each message of a turn: the `stream_id` of its request, if it has one."""
    lane = fields.get("stream_id")
    if lane is None:
        return b""
    if not isinstance(lane, str):
        raise InvalidRequest("stream_id: must be a string.", "stream_id")
    return b',"stream_id":%b}' % codec.encode(lane)


def _steer_failed(fields: dict[str, Any]) -> bytes:
    """Return the refusal to steer a response, which is not supported."""
    error = {
        "code": "steering_not_supported",
        "message": "This server does not steer responses. Send the input with `response.create`.",
        "type": "invalid_request_error",
    }
    steer = {name: fields.get(name) for name in ("input", "previous_response_id")}
    event = {"type": "response.steer.failed", "sequence_number": 0, "error": error, "steer": steer}
    return codec.encode(event)


def _decode(fields: dict[str, Any]) -> ResponsesRequest:
    if fields.get("type") != "response.create":
        raise InvalidRequest("type: must be `response.create`.", "type")
    if fields.get("background"):
        raise InvalidRequest("background: not available over a WebSocket.", "background")
    if fields.get("stream") is False:
        raise InvalidRequest("stream: must not be false over a WebSocket.", "stream")
    body = {name: value for name, value in fields.items() if name not in ENVELOPE}
    return structs.replace(decode_request(codec.encode(body)), stream=True)
