"""`Stepper`: runs a handler by hand, so that its run's task can work before the handler waits."""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any

from .run_context import RunContext

NO_VARIABLES = Context()
"""In place of a run's context before its handler begins and after its end."""


class Abandoned(Exception):
    """The handler did not end in time after its cancellation."""


class Stepper(RunContext):
    """A run whose coroutine `_steps` runs in the current task, from one wait to the next.

    `_advance` runs it until it waits for something. Only then, with its other work done, does the
    task wait too, in `_wait`. Both return whether the coroutine waits; if not, it has ended.

    Attributes:
        _steps: The coroutine; None before the handler begins and after its end.
        _variables: The context that it runs in, a copy: what a handler sets, the connection's next
            turn does not see.
        _waiting: The future that it waits for; None for a turn of the event loop.
        _returned: Whether it has ended.
        _abandoned: Whether it was abandoned while it waited.
    """

    __slots__ = ("_abandoned", "_returned", "_steps", "_variables", "_waiting")

    _steps: Any
    _variables: Context
    _waiting: Any

    def _throwing(self, error: BaseException) -> bool:
        """Return whether to throw an exception into the coroutine, or to abandon it."""
        raise NotImplementedError

    def _advance(self, error: BaseException | None = None) -> bool:
        """Run the coroutine until it waits, or throw an exception into it."""
        steps = self._steps
        try:
            if error is None:
                self._waiting = self._variables.run(steps.send, None)
            else:
                self._waiting = self._variables.run(steps.throw, error)
        except StopIteration:
            self._returned = True
            return False
        except BaseException:
            self._returned = True
            raise
        return True

    @coroutine
    def _wait(self) -> Generator[Any, Any, bool]:
        """Wait for what the coroutine waits for, and run it until it waits again."""
        try:
            yield self._waiting
        except BaseException as error:  # noqa: BLE001  all exceptions belong to the handler
            return self._throw(error)
        return self._advance()

    def _throw(self, error: BaseException) -> bool:
        if not self._throwing(error):
            self._abandoned = True
            raise Abandoned from error
        return self._advance(error)

    async def _interrupt(self, error: asyncio.CancelledError) -> bool:
        """Cancel the coroutine while it waits, and run it until it waits again."""
        if self._waiting is not None and self._waiting.cancel():
            return await self._wait()
        return self._throw(error)

    async def _end_steps(self) -> None:
        """Cancel the coroutine while it waits, and wait until it has ended."""
        is_waiting = await self._interrupt(asyncio.CancelledError())
        while is_waiting:
            is_waiting = await self._wait()


@coroutine
def in_context(context: Context, awaited: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Await a coroutine whose steps run in a context; return its result."""
    step, argument = awaited.send, None
    while True:
        try:
            waiting = context.run(step, argument)
        except StopIteration as ended:
            return ended.value
        try:
            yield waiting
        except BaseException as error:  # noqa: BLE001  all exceptions belong to the coroutine
            step, argument = awaited.throw, error
        else:
            step, argument = awaited.send, None
