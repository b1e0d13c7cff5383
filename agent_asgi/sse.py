"""The stream of a run's events; the only importer of sse_starlette."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from sse_starlette.sse import EventSourceResponse
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from . import codec
from .disconnect import ClientStalled, Watch, taken, writes_last
from .gate import Gate
from .limits import Timeouts
from .run import Run
from .schema.events import Event, VendorEvent

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""What keeps proxies from holding a stream back."""
_heads: dict[type[Event | VendorEvent], bytes] = {}


def write_named(event: Event | VendorEvent, buffer: bytearray) -> None:
    """Append a frame as Open Responses has it: the event's type on a line of its own."""
    head = _heads.get(type(event))
    if head is None:
        head = f"event: {event.type}\ndata: ".encode()
        if not isinstance(event, VendorEvent):
            _heads[type(event)] = head
    codec.encode_event(event, buffer, head, b"\n\n")


def write_data(event: Event | VendorEvent, buffer: bytearray) -> None:
    """Append a frame as MLflow's clients read it: data alone."""
    codec.encode_event(event, buffer, b"data: ", b"\n\n")


class EventStreamResponse(EventSourceResponse):
    """Streams a run's batches; all of it but the pings happens in the request's own task.

    The headers wait for the handler's first output, so that an error before it keeps its status;
    after `Timeouts.ping` seconds of silence they go out with a comment.

    Args:
        run: The run; its batches are frames.
        headers: Makes the headers of the answer when they go out.
        times: When a comment is sent, and when a client is given up that does not read.
        failed: Answers in place of the stream where the run fails before its first output.
        tail: Makes the frames that follow the run's last. Default: `data: [DONE]`.
    """

    def __init__(
        self,
        run: Run,
        *,
        headers: Callable[[], Mapping[str, str]],
        times: Timeouts,
        failed: Callable[[Scope, Receive, Send], Any],
        tail: Callable[[], bytes] = lambda: DONE,
    ) -> None:
        # Not the base's own start: it makes a lock and the same headers anew for each stream.
        self.status_code = 200
        self.raw_headers = _headers
        self.run = run
        self.frames = 0
        self.sent = 0
        self._make_headers = headers
        self._failed = failed
        self._tail = tail
        self._open = False
        self._gone = False
        self._unsent = b""
        self._sending = False
        self._watch: Watch
        self._loop = asyncio.get_running_loop()
        self._silence = times.ping
        self._patience = times.write
        self._stalled = False
        self._progress = -1  # of the client's reading, at the last look while we were sending
        self._progress_at = 0.0
        self._pinging: asyncio.Task[None] | None = None
        self._last = self._loop.time()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pull the run and send what it gives, until it has ended or the client is gone.

        Raises:
            ClientStalled: The client does not read; its connection is to be cut.
        """
        run = self.run
        self._send = send
        self._receive = receive
        watch = self._watch = Watch(run, receive)
        self._timer = self._loop.call_later(min(self._silence, self._patience), self._tick)
        try:
            await run.pull(self._deliver)
        finally:
            watch.stop()
            self._timer.cancel()
        if self._stalled:
            raise ClientStalled
        if self._is_refusal():
            await self._failed(scope, receive, send)

    def _is_refusal(self) -> bool:
        """Tell whether the run failed before there was anything to send."""
        return self.run.error is not None and not self.run.committed and not self._open

    async def _deliver(self, batch: bytes) -> None:
        ended = self.run.ended
        if self._gone or self.run.context.cancelled.cause == "client_disconnected":
            return
        if ended and self._is_refusal():
            return
        self._unsent += batch
        if self._pinging is not None and self._pinging is not asyncio.current_task():
            await asyncio.wait([self._pinging])
        if ended:
            self._unsent += self._tail()
        else:
            self._watch.start()  # a client that reads no more holds us up in `send`
        await self._put(not ended)

    async def _put(self, more: bool) -> None:
        """Send what is unsent; what is cancelled before it is written stays unsent."""
        body, self._unsent = self._unsent, b""
        self._sending = True
        try:
            if not self._open:
                await self._begin()
            self._last = self._loop.time()
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            self.frames += 1
            self.sent += len(body)
        except asyncio.CancelledError:
            if writes_last(self._receive):
                self._unsent = body + self._unsent
            else:
                self._open = True
            raise
        except OSError:
            self._leave()
        finally:
            self._sending = False

    async def _begin(self) -> None:
        more = [(name.encode(), value.encode()) for name, value in self._make_headers().items()]
        headers = [*self.raw_headers, *more]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._open = True

    def _leave(self) -> None:
        self._gone = True
        if self._pinging is None:
            self.run.context.cancelled.set("client_disconnected")
            self.run.interrupt(asyncio.CancelledError())
        else:  # the handler waits
            self.run.cancel("client_disconnected")

    def _tick(self) -> None:
        """Look whether a comment is due, or the client takes nothing."""
        now = self._loop.time()
        silent = now - self._last
        if self._sending:
            self._look(now)
            self._timer = self._loop.call_later(min(self._silence, self._patience), self._tick)
            return
        self._progress = -1
        if silent >= self._silence - 0.001 and self._pinging is None:
            self._pinging = asyncio.create_task(self._comment())
            silent = 0.0
        wait = min(max(self._silence - silent, 0.0) or self._silence, self._patience)
        self._timer = self._loop.call_later(max(wait, 0.001), self._tick)

    def _look(self, now: float) -> None:
        """Give the client up that has taken nothing since a look so long ago."""
        acked = taken(self._receive)
        progress = self.frames if acked is None else acked
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
        elif now - self._progress_at >= self._patience - 0.001:
            self._stall()

    def _stall(self) -> None:
        run = self.run
        self._gone = self._stalled = True
        if self._pinging is not None:
            self._pinging.cancel()
        if run.ended or run.context.cancelled.is_set():
            run.drop()
        else:
            run.cancel("client_stalled")

    async def _comment(self) -> None:
        try:
            if not self.run.ended:
                await self._deliver(self.run.take() + PING)
        finally:
            self._pinging = None


class FollowedLog(StreamingResponse):
    """Streams the log of a run that goes on elsewhere.

    Args:
        frames: The frames.
        streams: Counts the streams.
        seconds: How long the client may read nothing.

    Raises:
        TooMany: There are too many streams; nothing has been sent.
        ClientStalled: The client does not read; its connection is to be cut.
    """

    def __init__(self, frames: AsyncIterator[bytes], streams: Gate, seconds: float) -> None:
        super().__init__(frames, media_type="text/event-stream", headers=STREAM_HEADERS)
        self._streams = streams
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames, until there are no more or the client is gone."""

        async def bounded(message: Message) -> None:
            sending = asyncio.ensure_future(send(message))
            try:
                before = taken(receive)
                while not (await asyncio.wait([sending], timeout=self._seconds))[0]:
                    now = taken(receive)
                    if now == before:
                        raise ClientStalled
                    before = now
                await sending
            finally:
                sending.cancel()

        with self._streams:
            await super().__call__(scope, receive, bounded)


async def _nothing() -> AsyncIterator[Any]:
    """Stand for the content, which comes from the run."""
    return
    yield


_headers = EventSourceResponse(_nothing(), sep="\n").raw_headers
