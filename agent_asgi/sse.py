"""The stream of a run's events; the only importer of sse_starlette."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.types import Receive, Scope, Send

from . import codec
from .disconnect import Watch
from .run import Run
from .schema.events import Event, VendorEvent

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""What keeps proxies from holding a stream back."""
_heads: dict[type[Event], bytes] = {}


def server_ends() -> bool:
    """Tell whether uvicorn has been told to end; sse_starlette hears its signals."""
    return AppStatus.should_exit


def write_named(event: Event | VendorEvent, buffer: bytearray) -> None:
    """Append a frame as Open Responses has it: the event's type on a line of its own."""
    head = None if isinstance(event, VendorEvent) else _heads.get(type(event))
    if head is None:
        head = f"event: {event.type}\ndata: ".encode()
        if not isinstance(event, VendorEvent):
            _heads[type(event)] = head
    _write(head, event, buffer)


def write_data(event: Event | VendorEvent, buffer: bytearray) -> None:
    """Append a frame as MLflow's clients read it: data alone."""
    _write(b"data: ", event, buffer)


def _write(head: bytes, event: Event | VendorEvent, buffer: bytearray) -> None:
    before = len(buffer)
    buffer += head
    try:
        codec.encode_event(event, buffer)
    except BaseException:
        del buffer[before:]  # no half frame
        raise
    buffer += b"\n\n"


class EventStreamResponse(EventSourceResponse):
    """Streams a run's batches; all of it but the pings happens in the request's own task.

    The headers wait for the handler's first output, so that an error before it keeps its status;
    after `ping` seconds of silence they go out with a comment.

    Args:
        run: The run; its batches are frames.
        headers: Makes the headers of the answer when they go out.
        ping: Silence in seconds before a comment is sent.
        failed: Answers in place of the stream where the run fails before its first output.
        tail: Makes the frames that follow the run's last. Default: `data: [DONE]`.
    """

    def __init__(
        self,
        run: Run,
        *,
        headers: Callable[[], Mapping[str, str]],
        ping: float,
        failed: Callable[[Scope, Receive, Send], Any],
        tail: Callable[[], bytes] = lambda: DONE,
    ) -> None:
        super().__init__(_nothing(), ping=ping, sep="\n")
        self.run = run
        self.frames = 0
        self.sent = 0
        self._make_headers = headers
        self._failed = failed
        self._tail = tail
        self._open = False
        self._gone = False
        self._lock = asyncio.Lock()
        self._watch: Watch
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pings: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pull the run and send what it gives, until it has ended or the client is gone."""
        watch = self._watch = Watch(self.run, receive)
        self._schedule_ping(send)
        try:
            with self.run.shield("app" in scope):
                await self._pull(scope, receive, send)
        finally:
            watch.stop()
            if self._timer is not None:
                self._timer.cancel()
        self.run.settle()

    async def _pull(self, scope: Scope, receive: Receive, send: Send) -> None:
        run = self.run
        async for batch in run:
            try:
                if run.error is not None and not run.committed and not self._open:
                    await self._failed(scope, receive, send)
                else:
                    await self._deliver(batch, send)
            except asyncio.CancelledError as error:
                run.interrupt(error)
            except OSError:
                self._leave()

    async def _deliver(self, batch: bytes, send: Send) -> None:
        if self._gone or self.run.context.cancelled.cause == "client_disconnected":
            return
        async with self._lock:
            if self.run.ended:
                batch += self._tail()
            else:
                self._watch.start()  # a client that reads no more holds us up in `send`
            await self._begin(send)
            await self._body(batch, send, more=not self.run.ended)

    async def _begin(self, send: Send) -> None:
        if self._open:
            return
        self._open = True
        self.headers.update(self._make_headers())
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _body(self, body: bytes, send: Send, *, more: bool) -> None:
        self.frames += 1
        self.sent += len(body)
        self._last = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": body, "more_body": more})

    def _leave(self) -> None:
        self._gone = True
        self.run.context.cancelled.set("client_disconnected")
        self.run.interrupt(asyncio.CancelledError())

    def _schedule_ping(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        self._timer = loop.call_later(self.ping_interval, self._tick, send)

    def _tick(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        due = self._last + self.ping_interval
        if loop.time() >= due - 0.001 and not self._lock.locked():
            task = asyncio.create_task(self._send_ping(send))
            self._pings.add(task)
            task.add_done_callback(self._pings.discard)
            due = loop.time() + self.ping_interval
        self._timer = loop.call_at(due, self._tick, send)

    async def _send_ping(self, send: Send) -> None:
        try:
            async with self._lock:
                if not self.run.ended:
                    await self._begin(send)
                    await self._body(self.run.take() + PING, send, more=True)
        except OSError:
            self.run.cancel("client_disconnected")


async def _nothing() -> AsyncIterator[Any]:
    """Stand for the content, which comes from the run."""
    return
    yield
