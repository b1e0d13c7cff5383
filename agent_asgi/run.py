"""One run: a handler's outputs, in batches of what is ready, from its span's start to its end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from contextvars import Token
from time import perf_counter
from typing import Any

from anyio import CancelScope
from starlette.exceptions import HTTPException

from . import codec
from .channels import Channel
from .context import Cause, Context, current
from .drain import Drain
from .errors import AgentError, AgentFailed, TooMuchOutput, from_http
from .limits import Limits, Timeouts
from .patience import Patience
from .scope import scope_for
from .steps import PENDING, Abandoned, Steps
from .tracing.trace import Trace

logger = logging.getLogger("agent_asgi")

Ending = Callable[[bytearray], Awaitable[str]]
Deliver = Callable[[bytes], Awaitable[None]]
_NOTHING = nullcontext()
BATCH_BYTES = 32 * 1024
"""How much of what is ready together goes out in one message."""
LARGE = 1 << 20
"""Of a run that has emitted more bytes the trace is closed in a thread: MLflow looks through all of
its output in Python."""
BREATH = 256
"""After how many outputs the event loop gets a turn, should the handler never wait."""


class Run:
    """One run, pulled by the task that answers.

    A batch is what the handler gave without waiting. The handler runs in the pulling task, or, a
    sync one, in a thread. Whatever happens, the last batch holds the ending, and the trace closes.

    Args:
        name: The handler's name.
        outputs: Calls the handler.
        channel: What the protocol makes of the outputs.
        context: The handler's context.
        begin_trace: Opens the root span.
        drain: Has the run while it is in flight.
        limits: Bounds on what the handler may give.
        timeouts: Bounds on time.
        background: Whether the run is a background run, which has a bound of its own.
            Default False.
        report: Called with the run and the labels once it has ended; where the answer had begun
            before, by whoever stores the end.
        labels: What is told apart in reports.
        debug: Whether an error tells the client of the exception. Default False.
        committed: Whether the answer has begun, so that an error cannot change its status.
            Default False.

    Attributes:
        error: What the run failed with, as the client may see it.
        committed: Whether the handler has given an output.
        on_wait: Called once, before the handler waits for something for the first time.
        ended: Whether the last batch has been made.
        began: When the handler was called, by `perf_counter`.
        first_at: When the first output came; None until then.
    """

    __slots__ = (
        "_background",
        "_begin_trace",
        "_buffer",
        "_call",
        "_cancellation",
        "_cancels",
        "_cleanup",
        "_debug",
        "_detached",
        "_drain",
        "_emitted",
        "_giving_up",
        "_interrupted",
        "_labels",
        "_limits",
        "_patience",
        "_report",
        "_scope",
        "_steps",
        "_task",
        "_timeouts",
        "_token",
        "_trace",
        "began",
        "channel",
        "committed",
        "context",
        "ended",
        "error",
        "first_at",
        "name",
        "on_wait",
        "status",
    )

    def __init__(
        self,
        name: str,
        outputs: Callable[[], AsyncIterator[Any]],
        channel: Channel,
        context: Context,
        begin_trace: Callable[[], Trace | None],
        drain: Drain,
        limits: Limits,
        timeouts: Timeouts,
        report: Callable[..., None],
        labels: object,
        *,
        background: bool = False,
        debug: bool = False,
        committed: bool = False,
    ) -> None:
        self.context = context
        self.error: AgentError | None = None
        self.committed = committed
        self.status = "in_progress"
        self.on_wait: Callable[[], None] | None = None
        self.name = name
        self._report = report
        self._labels = labels
        self.first_at: float | None = None
        self._detached = committed
        self._call = outputs
        self.channel = channel
        self._begin_trace = begin_trace
        self._drain = drain
        self._limits = limits
        self._timeouts = timeouts
        self._background = background
        self._debug = debug
        self._buffer = bytearray()
        self._emitted = 0
        self._scope: CancelScope | None = None
        self._steps: Steps | None = None
        self._trace: Trace | None = None
        self._task: asyncio.Task[Any] | None = None
        self._token: Token[Context] | None = None
        self._patience: Patience | None = None
        self._cleanup: asyncio.TimerHandle | None = None  # of a cancelled handler
        self._interrupted: asyncio.CancelledError | None = None
        self._cancellation: asyncio.CancelledError | None = None  # the one that ended the run
        self._cancels = 0
        self._giving_up = False
        self.ended = False

    async def pull(self, deliver: Deliver | None = None) -> None:
        """Run the handler to its end, once.

        Args:
            deliver: Called with each batch; where it is cancelled, the handler is, and where it is
                called for the last one, `ended` is set. Default None: no batches are wanted.

        Raises:
            Unavailable: The app is draining; nothing has begun.
            asyncio.CancelledError: Somebody else cancelled the task; the run has ended.
        """
        self._drain.enter(self, accepted=self.committed)
        self._task = asyncio.current_task()
        self._scope = scope_for(self._task)
        with self._scope or _NOTHING:
            try:
                await self._step_through(self._begin(), deliver)
                await self._finish(self.channel.complete, None)
            except asyncio.CancelledError as error:
                await self._finish_cancelled(error)
            except Abandoned:
                logger.error("Handler %r ignored its cancellation; it is abandoned.", self.name)
                await self._finish_cancelled(None)
            except Exception as error:  # noqa: BLE001  a handler may raise anything
                await self._finish_failed(error)
            if deliver is not None:
                with suppress(asyncio.CancelledError):  # `_settle` tells whose it was
                    await deliver(self.take())
        self._settle()

    def take(self) -> bytes:
        """Give what has been written and not yet been taken."""
        batch = bytes(self._buffer)
        self._buffer.clear()
        if not batch.isascii():
            batch = codec.on_one_line(batch)
        self._emitted += len(batch)
        return batch

    def cancel(self, cause: Cause) -> None:
        """Cancel the run, once; later causes do not count.

        Args:
            cause: Why.
        """
        if self.ended or self.context.cancelled.is_set() or self._task is None:
            return
        self.context.cancelled.set(cause)
        self._cancels += 1
        self._task.cancel()

    def drop(self) -> None:
        """Give up the delivery of the last batch, which does not come to an end."""
        if self.ended and self._task is not None:
            self._cancels += 1
            self._task.cancel()

    def interrupt(self, error: asyncio.CancelledError) -> None:
        """Have a cancellation thrown into the handler once the batch has been delivered."""
        self._interrupted = error

    def _settle(self) -> None:
        """Take back the run's own cancellation of its task, now that it has ended.

        Raises:
            asyncio.CancelledError: Somebody else cancelled the task and must see it end.
        """
        task = self._task
        if task is None or not task.cancelling():
            return
        for _ in range(self._cancels):
            task.uncancel()
        self._cancels = 0
        if task.cancelling():
            raise self._cancellation or asyncio.CancelledError

    def _begin(self) -> Steps:
        self.began = perf_counter()
        self._token = current.set(self.context)
        self._trace = self._begin_trace()
        self.channel.start(self._buffer)
        self._patience = Patience.of(self._timeouts, self._background, self.cancel)
        self._steps = Steps(self._call(), self._thrown)
        return self._steps

    async def _step_through(self, steps: Steps, deliver: Deliver | None) -> None:
        """Take in the outputs to the last, as many as there may be."""
        most = self._limits.max_outputs
        try:
            for done in range(0, most + 1, BREATH):  # one too many fails
                await self._take_in(min(BREATH, most + 1 - done), steps, deliver)
                await self._breathe(steps)
        except StopAsyncIteration:
            return
        raise TooMuchOutput(f"{most} outputs")

    async def _take_in(self, count: int, steps: Steps, deliver: Deliver | None) -> None:
        """Take in some outputs, and deliver what there is whenever the handler waits."""
        buffer, feed = self._buffer, self.channel.feed
        for _ in range(count):
            output = steps.poll() if len(buffer) < BATCH_BYTES else PENDING
            if output is PENDING:
                if buffer and self.committed and deliver is not None:
                    try:
                        await deliver(self.take())
                    except asyncio.CancelledError as error:
                        self._interrupted = error
                    if self._interrupted is not None:
                        await self._interrupt(steps, self._interrupted)
                    self._check_size(self._emitted)
                if self.on_wait is not None:
                    self.on_wait()
                    self.on_wait = None
                waiting = steps.wait() if self._patience is None else self._patience.wait(steps)
                output = await waiting
            if self._cleanup is not None:
                self._reset()
            feed(output, buffer)
            if self.first_at is None:
                self.first_at = perf_counter()
                self.committed = True
            if deliver is None:
                self._check_size(self.channel.size)

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_output_bytes:
            raise TooMuchOutput(f"{self._limits.max_output_bytes} bytes")

    async def _breathe(self, steps: Steps) -> None:
        """Give the event loop a turn; a handler that never waits would keep it."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            await self._interrupt(steps, error)

    async def _interrupt(self, steps: Steps, error: asyncio.CancelledError) -> None:
        self._interrupted = None
        await steps.interrupt(error)
        raise error  # the handler went on to an output; nobody wants it

    def _thrown(self, error: BaseException) -> bool:
        if self._giving_up:
            return False
        if isinstance(error, asyncio.CancelledError):
            if self._scope is not None:
                self._scope.shield = True
            if self._cleanup is None:
                loop = asyncio.get_running_loop()
                self._cleanup = loop.call_later(self._timeouts.cleanup, self._give_up)
        return True

    def _give_up(self) -> None:
        task = self._task
        unwanted = self.context.cancelled.is_set()  # where no task was cancelled, as by `interrupt`
        if task is not None and not self.ended and (task.cancelling() or unwanted):
            self._giving_up = True
            self._cancels += 1
            task.cancel()

    def _reset(self) -> None:
        """Forget a cancellation that was the handler's own, such as a timeout it has caught."""
        if self.context.cancelled.is_set() or (self._task and self._task.cancelling()):
            raise asyncio.CancelledError
        if self._scope is not None:
            self._scope.shield = False
        if self._cleanup is not None:
            self._cleanup.cancel()
            self._cleanup = None

    async def _finish_cancelled(self, error: asyncio.CancelledError | None) -> None:
        self._cancellation = error
        cancelled = self.context.cancelled
        cancelled.set("shutdown")
        late = None if self._patience is None else self._patience.error(cancelled.cause)
        if late is not None:
            await self._fail(late)
        else:
            cause = cancelled.cause or "shutdown"
            await self._finish(lambda buffer: self.channel.cancel(cause, buffer), None)

    async def _finish_failed(self, error: Exception) -> None:
        if self.context.cancelled.is_set():
            logger.error("Handler %r failed after its cancellation.", self.name, exc_info=error)
            await self._finish_cancelled(None)
        else:
            await self._fail(error)

    async def _fail(self, error: Exception) -> None:
        self.error = self._visible(error)
        visible = self.error
        await self._finish(lambda buffer: self.channel.fail(visible, buffer), error)

    def _visible(self, error: Exception) -> AgentError:
        if isinstance(error, AgentError):
            return error
        if isinstance(error, HTTPException):
            return from_http(error)
        logger.error(
            "Handler %r of agent %r failed.", self.name, self.context.agent, exc_info=error
        )
        if not self._debug:
            return AgentFailed()
        return AgentFailed(f"{type(error).__name__}: {error}")

    async def _finish(self, ending: Ending, error: Exception | None) -> None:
        """Close the handler, write the ending, close the span; all in the task that pulls."""
        self.ended = True
        if self._scope is not None:
            self._scope.shield = True
        if self._steps is not None and not self._steps.ended:
            await self._close_handler(self._steps)
        if self._patience is not None:
            self._patience.end()
            self._patience = None  # as the handler's steps: it knows this run
        if self._cleanup is not None:
            self._cleanup.cancel()
        await self._write_ending(ending)
        try:
            if self._trace is not None:
                cause = self.context.cancelled.cause if self.error is None else self.error.code
                large = max(self._emitted, self.channel.size) > LARGE
                with suppress(asyncio.CancelledError):  # `_settle` tells whose it was
                    await self._trace.end(
                        self.channel.result, self.status, error, cause, large=large
                    )
        finally:
            self._drain.leave(self)
            if self._token is not None:
                current.reset(self._token)
            self._steps = None  # it knows this run: a circle would wait for the garbage collector
            if not self._detached:
                self._report(self, self._labels)

    def report(self) -> None:
        """Tell that the run has ended; for whoever stores its end."""
        self._report(self, self._labels)

    async def _write_ending(self, ending: Ending) -> None:
        try:
            self.status = await ending(self._buffer)
        except Exception as failure:  # noqa: BLE001  what the handler gave cannot be written
            self.error = self._visible(failure)
            self.status = "failed"
            try:
                await self.channel.fail(self.error, self._buffer)
            except Exception:
                logger.exception("The end of %r cannot be written.", self.name)

    async def _close_handler(self, steps: Steps) -> None:
        try:
            async with asyncio.timeout(self._timeouts.cleanup):
                await steps.close()
        except asyncio.CancelledError:
            pass  # the handler's, which waited, or another's: `_settle` tells
        except Exception:
            logger.exception("Handler %r failed while it was closed.", self.name)
