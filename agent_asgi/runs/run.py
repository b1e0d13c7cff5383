"""`Run`: pulls a handler's outputs and delivers them in batches of what is ready."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Token, copy_context
from time import perf_counter
from types import AsyncGeneratorType
from typing import Any

import anyio

from ..agents.handler import PREPARE, outputs_of
from ..context import Cause, Context, current, has_run
from ..errors import TooMuchOutput
from ..events.structured import structured
from ..http.connection import Watch
from ..schema import codec
from ..tracing.span import Trace
from ..tracing.tracer import Tracer
from .admission import Stage
from .cancellation import Cancellation, is_running, scope_for
from .deadline import Deadline
from .output import Output
from .report import ending_of, report, visible
from .stepper import NO_VARIABLES, Abandoned, Stepper, in_context

logger = logging.getLogger("agent_asgi")

Deliver = Callable[[], Awaitable[None]]
"""Sends what has been written, which `Run.take` returns."""
BATCH_BYTES = 32 * 1024
"""How much of what is ready at once goes out in one message."""
LARGE = 1 << 20
"""The trace of a run with a larger output, in bytes, is ended in a thread: MLflow walks through all
of the output in Python."""
BREATH = 256
"""After how many outputs the event loop gets a turn, even if the handler never waits."""


class Run(Stepper):
    """One run, pulled by the task that answers; the handler gets it as its `Context`.

    A batch is what the handler returned without waiting. An async handler runs in the pulling
    task, a sync one in a thread. Whatever happens, the last batch has the terminal event and the
    trace is ended.

    Attributes:
        began: When the run began, by `perf_counter`.
        first_at: When the first output came; None until then.
    """

    __slots__ = (
        "_cancellation",
        "_deadline",
        "_emitted",
        "_interrupted",
        "_outputs",
        "_scope",
        "_step",
        "_token",
        "_trace",
        "_watch",
        "began",
        "first_at",
    )

    async def pull(self, deliver: Deliver | None = None) -> None:
        """Run the handler to its end, once.

        Args:
            deliver: Called for each batch, to `take` it; `ended` is set for the last one. If it is
                cancelled, so is the handler. Default None: no batches are wanted.

        Raises:
            Unavailable: The server is shutting down; nothing has begun.
            asyncio.CancelledError: Somebody else cancelled the task; the run has ended.
        """
        admission = self.engine.admission
        if admission.stage >= Stage.ENDING and not self.detached:
            admission.check()
        admission.enter(self)
        self._cancellation: Cancellation | None = None
        self._interrupted: asyncio.CancelledError | None = None
        self._task = asyncio.current_task()
        self._scope = scope = scope_for(self._task)
        self._steps = self._waiting = None
        self._variables = NO_VARIABLES
        self._returned = self._abandoned = False
        self._outputs: Any = None
        self._step: Any = None
        self._trace: Trace | None = None
        self._deadline: Deadline | None = None
        self._watch: Watch | None = None
        self._emitted = 0
        self.first_at: float | None = None
        self.began = perf_counter()
        self._token: Token[Context] = current.set(self)
        has_run.set(True)
        if scope is None:
            await self._pull(deliver)
        else:
            with scope:
                await self._pull(deliver)
        if self._cancellation is not None:
            cancellation, self._cancellation = self._cancellation, None
            cancellation.finish()

    async def _pull(self, deliver: Deliver | None) -> None:
        try:
            tracer = self.engine.tracer
            if not tracer.off and not tracer.settled:
                await self._wait_for(tracer)
            self._start()
            if self._advance():
                await self._run(deliver)
        except asyncio.CancelledError as error:
            await self._finish_cancelled(error)
        except Abandoned:
            logger.error(
                "Handler %r ignored its cancellation for %g s and was abandoned.",
                self.handler.name,
                self.engine.timeouts.cleanup,
            )
            await self._finish_cancelled(None)
        except BaseException as error:  # noqa: BLE001  a handler may raise anything
            await self._finish_failed(error)
        else:
            await self._finish(self.output.complete)
        if deliver is not None:
            try:
                await deliver()
            except asyncio.CancelledError as error:
                self.keep_cancellation(error)

    async def _wait_for(self, tracer: Tracer) -> None:
        try:
            await tracer.wait()
        except asyncio.CancelledError as error:
            self.keep_cancellation(error)
            raise

    def watch(self) -> None:
        """Start to listen for a disconnect; a handler that never waits needs no listener."""
        if self._watch is None and self.receive is not None:
            self._watch = Watch(self, self.receive)

    def take(self, more: bytes = b"") -> bytes:
        """Return what has been written but not yet taken, followed by `more`."""
        buffer = self.output.buffer
        self._emitted += len(buffer)
        if more:
            buffer += more
        batch = bytes(buffer)
        buffer.clear()
        return batch if batch.isascii() else codec.on_one_line(batch)

    def cancel(self, cause: Cause) -> None:
        """Cancel the run; only the first cause counts."""
        if not self.ended and self._cause is None and self._task is not None:
            self.cancelled.set(cause)
            self._cancellations().send()

    def drop(self) -> None:
        """Cancel the delivery of the last batch, which does not end."""
        if self.ended and self._task is not None:
            self._cancellations().send(drop=True)

    def keep_cancellation(self, error: asyncio.CancelledError) -> None:
        """Raise somebody else's cancellation once the run has ended; its own is dropped."""
        self._cancellations().keep(error)

    def interrupt(self, error: asyncio.CancelledError) -> None:
        """Throw a cancellation into the handler as soon as the delivery has returned."""
        self._interrupted = error

    def _cancellations(self) -> Cancellation:
        if self._cancellation is None:
            if self._task is None:
                raise RuntimeError("The run has not begun.")
            self._cancellation = Cancellation(self, self._task, self._scope)
        return self._cancellation

    def _start(self) -> None:
        """Begin the trace, and call the handler."""
        engine, handler, router = self.engine, self.handler, self.router
        if not engine.tracer.off and handler is not PREPARE:
            self._trace = engine.tracer.begin(
                handler.name,
                self.inputs,
                self,
                experiment=router.experiment,
                responses=router.protocol == "responses",
            )
        self.output.start()
        timeouts, in_background = engine.timeouts, self.mode == "background"
        seconds = timeouts.background if in_background else timeouts.run
        if seconds is not None or timeouts.silence is not None:
            code = "background_timeout" if in_background else "timeout"
            self._deadline = Deadline(seconds, timeouts.silence, code, self.cancel)
        threads = engine.threads[self.agent]
        self.started = True
        self._variables = copy_context()
        if engine.tracer.passes_baggage:
            self._variables.run(engine.tracer.attach_baggage, self)
        called = self._variables.run(handler.call, self.value, self, threads)
        self._steps = self._take_outputs(called, threads)

    async def _take_outputs(self, called: Any, threads: anyio.CapacityLimiter) -> None:
        """Process all outputs of the handler.

        Args:
            called: What calling the handler returned: a coroutine or an async iterator.
            threads: The threads of the agent's sync code.
        """
        output, outputs = self.output, called
        text = output.text
        if self.handler.is_coroutine:
            self._step = called
            result = await called
            outputs = outputs_of(result, self, threads)
            if outputs is None:
                self._take(result, output, text)
                return
        self._outputs = outputs
        next_output = outputs.__anext__
        buffer, most, count = output.buffer, self.engine.limits.max_outputs, 0
        self._step = next_output()
        while True:
            try:
                value = await self._step
            except StopAsyncIteration:
                break
            self._take(value, output, text)
            count += 1
            if count > most:
                raise TooMuchOutput(f"{most} outputs")
            if len(buffer) >= BATCH_BYTES or not count % BREATH:
                try:
                    await asyncio.sleep(0)  # the batch is delivered, the event loop gets a turn
                except asyncio.CancelledError as error:
                    if not hasattr(outputs, "athrow"):
                        raise
                    self._step = outputs.athrow(error)
                    continue
            self._step = next_output()
        if isinstance(outputs, AsyncGeneratorType):
            self._outputs = None  # it has ended

    def _take(self, value: Any, output: Output, text: Callable[[str], None]) -> None:
        """Process one output; `text` is `output.text`."""
        if self._cancellation is not None or self._cause is not None or self.ended:
            self._cancellations().resume()
        if type(value) is str:
            text(value)
        elif (returns := self.handler.returns) is None:
            output.feed(value)
        else:
            output.feed(structured(value, returns, self.request, self.response_id))
        if self.first_at is None:
            self.first_at = perf_counter()
            self.committed = True
        if self._deadline is not None:
            self._deadline.waiting_since = None
        if not output.streams and output.size > self.engine.limits.max_output_bytes:
            raise TooMuchOutput(f"{self.engine.limits.max_output_bytes} bytes")

    async def _run(self, deliver: Deliver | None) -> None:
        """Run a handler that waits, and deliver what has been written whenever it waits."""
        buffer, most = self.output.buffer, self.engine.limits.max_output_bytes
        is_waiting = True
        while is_waiting:
            if buffer and self.committed and deliver is not None:
                try:
                    await deliver()
                except asyncio.CancelledError as error:
                    self._interrupted = error
                if self._interrupted is not None:
                    cancelled, self._interrupted = self._interrupted, None
                    self._cancellations().arrive(cancelled)
                    is_waiting = await self._interrupt(cancelled)
                    continue
                if self._emitted > most:
                    raise TooMuchOutput(f"{most} bytes")
            if self._watch is None:
                self.watch()
            if self._deadline is not None:
                self._deadline.begin_wait()
            is_waiting = await self._wait()

    def _throwing(self, error: BaseException) -> bool:
        if self._cancellation is not None and self._cancellation.giving_up:
            return False
        if isinstance(error, asyncio.CancelledError) and not self.ended:
            self._cancellations().arrive(error)
        return True

    async def _finish_cancelled(self, error: asyncio.CancelledError | None) -> None:
        if self._cancellation is not None and error is not None:
            self._cancellation.end(error)
        self.cancelled.set("shutdown")
        cause = self._cause or "shutdown"
        late = None if self._deadline is None else self._deadline.error(cause)
        if late is not None:
            await self._fail(late)
        else:
            await self._finish(self.output.cancel)

    async def _finish_failed(self, error: BaseException) -> None:
        if isinstance(error, GeneratorExit) and not is_running():
            raise error  # this coroutine is discarded, without a loop to end in
        if self._cause is not None:
            logger.error(
                "Handler %r failed after its cancellation.", self.handler.name, exc_info=error
            )
            await self._finish_cancelled(None)
        else:
            await self._fail(error)

    async def _fail(self, error: BaseException) -> None:
        self.error = failure = visible(self, error)
        await self._finish(lambda: self.output.fail(failure), error)

    async def _finish(self, ending: Callable[[], str], error: BaseException | None = None) -> None:
        """Close the handler, write the end, end the trace; all in the task that pulls."""
        self.ended = True
        if self._scope is not None:
            self._scope.shield = True
        if self._steps is not None and (self._outputs is not None or not self._returned):
            await self._close_handler()
        self._steps = self._waiting = self._outputs = self._step = None  # leave no cycle
        self._variables = NO_VARIABLES
        if self._watch is not None:
            self._watch.stop()
            self._watch = self.receive = None
        if self._deadline is not None:
            self._deadline.end()
            self._deadline = None
        try:
            await self._write_end(ending)
            if self.engine.quotas is not None:
                self.engine.quotas.end(self)
            if self._trace is not None:
                await self._end_trace(self._trace, error)
        finally:
            self.engine.admission.leave(self)
            current.reset(self._token)
            if not self.detached:
                report(self)

    async def _write_end(self, ending: Callable[[], str]) -> None:
        if self.trace_id is not None and self.wants_trace:
            self.output.show_trace(self.trace_id)
        try:
            self.status = ending()
            if self.keeps:
                try:
                    await self.engine.finish(self)
                except asyncio.CancelledError as error:
                    self.keep_cancellation(error)
            self.output.close()
        except Exception as failure:  # noqa: BLE001  the output cannot be encoded
            self.error = visible(self, failure)
            self.status = "failed"
            try:
                self.output.fail(self.error)
                if self.keeps:
                    await self.engine.finish(self)
                self.output.close()
            except Exception:
                logger.exception("The terminal event of %s cannot be written.", self.response_id)

    async def _end_trace(self, trace: Trace, error: BaseException | None) -> None:
        large = max(self._emitted, self.output.size) > LARGE
        try:
            await trace.end(ending_of(self, error), large=large)
        except asyncio.CancelledError as cancelled:
            self.keep_cancellation(cancelled)

    async def _close_handler(self) -> None:
        """Cancel the handler if it waits, and close its outputs."""
        try:
            async with asyncio.timeout(self.engine.timeouts.cleanup):
                try:
                    with suppress(StopIteration, StopAsyncIteration, GeneratorExit):
                        if self._abandoned:  # its time is over
                            self._variables.run(self._step.throw, GeneratorExit())
                        elif not self._returned:
                            await self._end_steps()
                finally:
                    close = getattr(self._outputs, "aclose", None)
                    if close is not None:
                        await in_context(self._variables, close())
        except asyncio.CancelledError:
            pass  # the handler's, which waited
        except BaseException:
            logger.exception("Handler %r failed while it was being closed.", self.handler.name)
