"""A handler's outputs, stepped by hand: what is ready at once, and when the handler waits.

The task that answers drives the handler itself. `poll` runs it until its next output or until it
waits for something; only then does the task, its other work done, wait for that with `wait`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import suppress
from types import AsyncGeneratorType, coroutine
from typing import Any

PENDING: Any = object()
"""What `poll` gives where the handler waits."""


class Abandoned(Exception):
    """The handler did not end in time after its cancellation."""


class Steps:
    """Steps through an async iterator.

    Args:
        outputs: The iterator.
        thrown: Called with every exception that is about to be thrown into it; tells whether to
            throw it (True) or to abandon the iterator.
    """

    def __init__(
        self, outputs: AsyncIterator[Any], thrown: Callable[[BaseException], bool]
    ) -> None:
        self._outputs = outputs
        self._thrown = thrown
        self._step: Any = None
        self._waiting: Any = None
        self._parked = False
        self.ended = False
        """Whether the iterator has come to its end and says that it needs no closing."""

    def poll(self) -> Any:
        """Give the next output if it is ready, else PENDING.

        Raises:
            StopAsyncIteration: There is no further output.
        """
        if self._parked:
            return PENDING
        if self._step is None:
            self._step = _stepper(self._outputs.__anext__())
        return self._resume(self._step.send, None)

    @coroutine
    def wait(self) -> Generator[Any, Any, Any]:
        """Wait with the handler until its next output, where that is not ready."""
        output = self.poll()
        while output is PENDING:
            try:
                yield self._waiting
            except BaseException as error:  # noqa: BLE001  all of it belongs to the handler
                output = self._throw(error)
            else:
                output = self._resume(self._step.send, None)
        return output

    async def interrupt(self, error: asyncio.CancelledError) -> Any:
        """Cancel the handler where it stands; give its next output if it goes on to one."""
        if not self._parked:
            thrower = getattr(self._outputs, "athrow", None)
            if thrower is None:
                raise error
            self._step = _stepper(thrower(error))
            self._thrown(error)
            output = self._resume(self._step.send, None)
        elif self._waiting is not None and self._waiting.cancel():
            return await self.wait()
        else:
            output = self._throw(error)
        return await self.wait() if output is PENDING else output

    async def close(self) -> None:
        """Close the iterator, in this task; where it waits, cancel it there.

        A generator that stands in an `await` is running, and cannot be closed.
        """
        try:
            with suppress(StopAsyncIteration, GeneratorExit):
                if self._parked:
                    await self.interrupt(asyncio.CancelledError())
                elif self._step is not None:  # abandoned: it gets no more time
                    self._resume(self._step.throw, GeneratorExit())
        finally:
            close = getattr(self._outputs, "aclose", None)
            if close is not None:
                await close()

    def _throw(self, error: BaseException) -> Any:
        if not self._thrown(error):
            self._parked = False
            raise Abandoned from error
        return self._resume(self._step.throw, error)

    def _resume(self, step: Callable[[Any], Any], value: Any) -> Any:
        try:
            self._waiting = step(value)
        except StopIteration as ready:
            self._step = self._waiting = None
            self._parked = False
            return ready.value
        except BaseException:
            self._done()
            ended = isinstance(self._outputs, AsyncGeneratorType)
            self.ended = ended or getattr(self._outputs, "ended", False)
            raise
        self._parked = True
        return PENDING

    def _done(self) -> None:
        self._step = self._waiting = None
        self._parked = False


def _stepper(awaitable: Any) -> Any:
    return awaitable if hasattr(awaitable, "send") else awaitable.__await__()
