"""Server-sent events: the stream of a run, and of a log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

from starlette.types import Message, Receive, Scope, Send
from uvicorn import Server

from ..config import Timeouts
from ..context import Cancelled, Cause
from ..errors import AgentError
from .body import Receive as Receiver
from .connection import ClientStalled, bytes_read, writes_last

_handle_exit = Server.handle_exit  # importing sse_starlette replaces it; it is put back
from sse_starlette.event import ServerSentEvent  # noqa: E402
from sse_starlette.sse import EventSourceResponse, SendTimeoutError  # noqa: E402

Server.handle_exit = _handle_exit  # type: ignore[method-assign]

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
GRACE_SECONDS = 30.0
"""The limit for streams of logs at shutdown; they end by themselves much earlier."""


class Source(Protocol):
    """A run that is streamed."""

    ended: bool
    committed: bool
    error: AgentError | None
    receive: Receiver | None

    @property
    def cancelled(self) -> Cancelled:
        """Whether the run is cancelled, and why."""

    @property
    def cause(self) -> Cause | None:
        """Why the run was cancelled; None if it was not."""

    async def pull(self, deliver: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run the handler to its end."""

    def take(self, more: bytes = b"") -> bytes:
        """Remove and return what has been written, followed by `more`."""

    def watch(self) -> None:
        """Cancel the run when the client disconnects."""

    def cancel(self, cause: Cause) -> None:
        """Cancel the run."""

    def drop(self) -> None:
        """Abandon the delivery of the last batch."""

    def interrupt(self, error: asyncio.CancelledError) -> None:
        """Throw a cancellation into the handler once the batch has been delivered."""


class EventStream:
    """Streams a run's batches in the request's task; only pings have a separate task.

    sse_starlette's response uses four tasks. Here the handler runs in the request's task, so that
    an error before its first output keeps its status: the headers are sent with that output, or
    with a comment after `Timeouts.ping` seconds of silence.

    Args:
        run: The run; its batches are frames.
        timeouts: `ping` and `write`.
        headers: Returns additional headers when the headers are sent.
        end: Returns the frames after the run's last one.

    Attributes:
        chunks: The number of messages that have been sent.
        sent: The number of bytes that have been sent.
    """

    __slots__ = (
        "_end",
        "_gone",
        "_headers",
        "_last",
        "_loop",
        "_open",
        "_pinging",
        "_progress",
        "_progress_at",
        "_receive",
        "_run",
        "_send",
        "_sending",
        "_silence",
        "_stall_seconds",
        "_stalled",
        "_timer",
        "_unsent",
        "chunks",
        "sent",
    )

    def __init__(
        self,
        run: Source,
        timeouts: Timeouts,
        headers: Callable[[], Sequence[tuple[bytes, bytes]]],
        end: Callable[[], bytes],
    ) -> None:
        self._run = run
        self._headers = headers
        self._end = end
        self._silence = timeouts.ping
        self._stall_seconds = timeouts.write
        self._open = self._gone = self._sending = self._stalled = False
        self._unsent = b""
        self._progress = -1  # of the client's reading, at the last check during a send
        self._progress_at = 0.0
        self._pinging: asyncio.Task[None] | None = None
        self.chunks = self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pull the run and send its batches until it ends or the client disconnects.

        Raises:
            ClientStalled: The client does not read; its connection must be reset.
        """
        self._send, self._receive = send, receive
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._run.receive = receive
        self._timer = self._loop.call_later(min(self._silence, self._stall_seconds), self._tick)
        try:
            await self._run.pull(self._deliver)
        finally:
            self._timer.cancel()
        if self._stalled:
            raise ClientStalled

    @property
    def refused(self) -> bool:
        """Whether the run failed before anything was sent."""
        return self._run.error is not None and not self._run.committed and not self._open

    async def _deliver(self) -> None:
        """Send what the run has written; keep it if the send is cancelled before it is written."""
        run = self._run
        if self._gone or run.cause == "client_disconnected":
            return
        ended = run.ended
        if ended and self.refused:
            return
        if self._pinging is not None and self._pinging is not asyncio.current_task():
            await asyncio.wait([self._pinging])
        body = self._unsent + run.take(self._end() if ended else b"")
        self._unsent = b""
        if not ended:
            run.watch()  # `send` blocks if the client stops reading
        self._sending = True
        try:
            if not self._open:
                await self._start()
            self._last = self._loop.time()
            await self._send({"type": "http.response.body", "body": body, "more_body": not ended})
            self.chunks += 1
            self.sent += len(body)
        except asyncio.CancelledError:
            if not self._open or writes_last(self._receive):  # the body has not been written
                self._unsent = body + self._unsent
            self._open = self._open or not writes_last(self._receive)
            raise
        except OSError:
            self._leave()
        finally:
            self._sending = False

    async def _start(self) -> None:
        headers = [*_HEADERS, *self._headers()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._open = True

    def _leave(self) -> None:
        """Cancel the run of a client that has disconnected."""
        self._gone = True
        if self._pinging is None:
            self._run.cancelled.set("client_disconnected")
            self._run.interrupt(asyncio.CancelledError())
        else:  # the handler is waiting
            self._run.cancel("client_disconnected")

    def _tick(self) -> None:
        """Send a comment if it is due; check whether the client reads."""
        now = self._loop.time()
        silent = now - self._last
        if self._sending:
            self._check_progress(now)
            wait = min(self._silence, self._stall_seconds)
            self._timer = self._loop.call_later(wait, self._tick)
            return
        self._progress = -1
        if silent >= self._silence - 0.001 and self._pinging is None:
            self._pinging = asyncio.create_task(self._comment())
            silent = 0.0
        wait = min(max(self._silence - silent, 0.0) or self._silence, self._stall_seconds)
        self._timer = self._loop.call_later(max(wait, 0.001), self._tick)

    def _check_progress(self, now: float) -> None:
        """Cancel the run if the client has read nothing for `Timeouts.write` seconds."""
        read = bytes_read(self._receive)
        progress = self.chunks if read is None else read
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
        elif now - self._progress_at >= self._stall_seconds - 0.001:
            self._stall()

    def _stall(self) -> None:
        self._gone = self._stalled = True
        if self._pinging is not None:
            self._pinging.cancel()
        if self._run.ended or self._run.cancelled.is_set():
            self._run.drop()
        else:
            self._run.cancel("client_stalled")

    async def _comment(self) -> None:
        try:
            if not self._run.ended:
                self._unsent += self._run.take() + PING
                await self._deliver()
        finally:
            self._pinging = None


class LogStream(EventSourceResponse):
    """Streams the log of a run that another task executes.

    Args:
        frames: The frames.
        streams: The limiter of streams.
        timeouts: `ping` and `write`.
        headers: Further headers. Default none.
    """

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        streams: AbstractContextManager[None],
        timeouts: Timeouts,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(
            frames,
            headers={name.decode(): value.decode() for name, value in headers},
            ping=timeouts.ping,
            sep="\n",
            ping_message_factory=lambda: ServerSentEvent(comment="ping", sep="\n"),
            send_timeout=timeouts.write,
            shutdown_grace_period=GRACE_SECONDS,
        )
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames until the log ends or the client disconnects.

        Raises:
            TooMany: There are too many streams; nothing has been sent.
            ClientStalled: The client does not read; its connection must be reset.
        """

        async def send_if_connected(message: Message) -> None:
            with suppress(OSError):  # the client has disconnected; sse_starlette will notice
                await send(message)

        with self._streams:
            try:
                await super().__call__(scope, receive, send_if_connected)
            except SendTimeoutError:
                raise ClientStalled from None


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


_HEADERS = EventSourceResponse(_nothing(), sep="\n").raw_headers
STREAM_HEADERS = {k.decode(): v.decode() for k, v in _HEADERS if k != b"content-type"}
"""The headers that prevent proxies from buffering a stream."""
